//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: parses durations and
//! rates such as `"500ms"`, `"5s"` and `"100/min"`, and checks the numbers of a limit.
//!
//! The macros use it for literals at compile time and the runtime for all other values, so both
//! accept the same input.

/// The shortest period a limit may have, in nanoseconds: 1 µs.
pub const MIN_PERIOD: u64 = 1_000;
/// The longest period a limit may have, in nanoseconds: 366 days.
pub const MAX_PERIOD: u64 = 366 * 86_400 * 1_000_000_000;
/// The highest rate a limit may have, in units per second.
pub const MAX_PER_SECOND: u64 = 1_000_000_000;
/// The largest burst of a token bucket and the largest size of a leaky bucket, in units.
pub const MAX_BURST: u64 = 1 << 32;
/// The largest quota of a sliding log, in units. Its memory grows with the quota.
pub const MAX_LOG_QUOTA: u64 = 100_000;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

const UNITS: &[(&[&str], u64)] = &[
    (&["ns"], 1),
    (&["us", "µs"], 1_000),
    (&["ms"], 1_000_000),
    (&["s", "sec", "second", "seconds"], 1_000_000_000),
    (&["m", "min", "minute", "minutes"], 60_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
];

const DURATION_HELP: &str = "expected seconds as a number, or a number with a unit (ns, us, ms, s, m, h, d) as in \"500ms\", \"5s\", \"1m\", \"2h\", \"1d\"";
const RATE_HELP: &str = "expected calls per period as in \"3/5s\", \"10/s\" or \"100/min\"";

/// Parses a duration with a unit, such as `"500ms"` or `"2h"`, and returns nanoseconds.
///
/// # Errors
/// A message with the accepted forms, if the text has another form, has no unit, or is not a whole
/// number of nanoseconds below 2^64.
///
/// ```
/// assert_eq!(premier_parse::parse_duration("1.5s"), Ok(1_500_000_000));
/// assert!(premier_parse::parse_duration("5").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let unit = unit.trim();
    if number.is_empty() {
        return Err(format!("{text:?} is not a duration: {DURATION_HELP}"));
    }
    if unit.is_empty() {
        return Err(format!("duration {text:?} has no unit: {DURATION_HELP}"));
    }
    let Some(scale) = unit_nanos(unit) else {
        return Err(format!("unknown unit `{unit}`: {DURATION_HELP}"));
    };
    decimal_times(number, scale)
        .ok_or_else(|| format!("{text:?} is not a duration: {DURATION_HELP}"))
}

/// Parses a number of seconds, such as `"5"` or `"1.5"`, and returns nanoseconds, exactly.
///
/// # Errors
/// A message with the accepted forms, if the text is not a number or not a whole number of
/// nanoseconds below 2^64.
///
/// ```
/// assert_eq!(premier_parse::parse_seconds("1.5"), Ok(1_500_000_000));
/// ```
pub fn parse_seconds(number: &str) -> Result<u64, String> {
    decimal_times(number, NANOS_PER_SECOND as u64)
        .ok_or_else(|| format!("{number} is not a duration: {DURATION_HELP}"))
}

/// Parses a rate, such as `"3/5s"` or `"100/min"`, and returns the quota and the period in
/// nanoseconds.
///
/// # Errors
/// A message with the accepted forms or ranges, if the text is not a rate, or if the quota, the period
/// or the rate is out of range.
///
/// ```
/// assert_eq!(premier_parse::parse_rate("3/5s"), Ok((3, 5_000_000_000)));
/// ```
pub fn parse_rate(text: &str) -> Result<(u64, u64), String> {
    let bad = || format!("{text:?} is not a rate: {RATE_HELP}");
    let (quota, period) = text.split_once('/').ok_or_else(bad)?;
    let quota = quota
        .trim()
        .replace('_', "")
        .parse::<u64>()
        .map_err(|_| bad())?;
    let period = period.trim();
    let nanos = match unit_nanos(period) {
        Some(nanos) => nanos,
        None => parse_duration(period)?,
    };
    check_quota(u128::from(quota))?;
    check_period(nanos)?;
    check_rate(quota, nanos)?;
    Ok((quota, nanos))
}

/// Checks that a quota is at least 1 and fits into a `u64`, and returns it.
///
/// # Errors
/// A message with the accepted range.
pub fn check_quota(quota: u128) -> Result<u64, String> {
    if quota == 0 {
        return Err("quota must be at least 1: it is how many calls a duration admits".into());
    }
    u64::try_from(quota).map_err(|_| "quota is too large: at most 1,000,000,000 per second".into())
}

/// Checks that a period in nanoseconds is between [`MIN_PERIOD`] and [`MAX_PERIOD`].
///
/// # Errors
/// A message with the accepted range.
pub fn check_period(nanos: u64) -> Result<(), String> {
    if nanos == 0 {
        return Err(format!(
            "duration must be longer than zero: {DURATION_HELP}"
        ));
    }
    if !(MIN_PERIOD..=MAX_PERIOD).contains(&nanos) {
        return Err("duration must be between 1 microsecond and 366 days".into());
    }
    Ok(())
}

/// Checks that `quota` units in a period of `nanos` nanoseconds are at most [`MAX_PER_SECOND`].
///
/// # Errors
/// A message with the highest rate.
pub fn check_rate(quota: u64, nanos: u64) -> Result<(), String> {
    let per_second = u128::from(MAX_PER_SECOND);
    if u128::from(quota) * NANOS_PER_SECOND > u128::from(nanos) * per_second {
        return Err("quota is too large: at most 1,000,000,000 per second".into());
    }
    Ok(())
}

/// Checks that the burst of a token bucket is between 1 and [`MAX_BURST`] tokens, and returns it.
///
/// # Errors
/// A message with the accepted range.
pub fn check_burst(burst: u128) -> Result<u64, String> {
    match u64::try_from(burst) {
        Ok(burst @ 1..=MAX_BURST) => Ok(burst),
        _ => Err("burst must be between 1 and 4,294,967,296".into()),
    }
}

/// Checks that the size of a leaky bucket is between 0 (no call waits) and [`MAX_BURST`] units, and
/// returns it.
///
/// # Errors
/// A message with the accepted range.
pub fn check_bucket_size(size: u128) -> Result<u64, String> {
    match u64::try_from(size) {
        Ok(size @ 0..=MAX_BURST) => Ok(size),
        _ => Err("bucket_size must be between 0 and 4,294,967,296".into()),
    }
}

/// Checks that the quota of a sliding log is at most [`MAX_LOG_QUOTA`].
///
/// # Errors
/// A message with the largest quota and with algorithms for larger ones.
pub fn check_log_quota(quota: u64) -> Result<(), String> {
    if quota > MAX_LOG_QUOTA {
        return Err(format!(
            "sliding_log remembers every admitted unit and takes a quota of at most 100,000, not {quota}: use sliding_window or token_bucket"
        ));
    }
    Ok(())
}

/// Returns how many nanoseconds a unit such as `ms` or `hours` has.
fn unit_nanos(unit: &str) -> Option<u64> {
    UNITS
        .iter()
        .find(|(names, _)| names.contains(&unit))
        .map(|&(_, nanos)| nanos)
}

/// Returns `number * scale`, exactly, or `None` if that is not a whole number below 2^64.
///
/// `number` is a decimal with an optional point and an optional exponent.
fn decimal_times(number: &str, scale: u64) -> Option<u64> {
    let clean = number.replace('_', "");
    let (mantissa, exponent) = clean.split_once(['e', 'E']).unwrap_or((&clean, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |part: &str| match part {
        "" => Some(0),
        part if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse::<u128>().ok(),
        _ => None,
    };
    let ten_to = |power: i32| 10u128.checked_pow(u32::try_from(power).unwrap_or(0));
    let places = i32::try_from(fraction.len()).ok()?;
    let shift = exponent.parse::<i32>().ok()?.checked_sub(places)?;
    let mantissa = digits(whole)?
        .checked_mul(ten_to(places)?)?
        .checked_add(digits(fraction)?)?;
    let (times, divisor) = (ten_to(shift)?, ten_to(shift.checked_neg()?)?);
    let scaled = mantissa
        .checked_mul(times)?
        .checked_mul(u128::from(scale))?;
    if scaled % divisor != 0 {
        return None;
    }
    u64::try_from(scaled / divisor).ok()
}
