//! Parses and formats times exactly, without floating-point numbers.

use std::time::Duration;

const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("", 1_000_000_000),
];

/// Parses seconds with at most 9 decimals.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    if text.starts_with('-') {
        return Err(format!("{text:?} is negative"));
    }
    if text
        .split_once('.')
        .is_some_and(|(_, decimals)| decimals.len() > 9)
    {
        return Err(format!("{text:?} has more than 9 decimals"));
    }
    decimal_times(text, 1_000_000_000)
        .map(Duration::from_nanos)
        .ok_or_else(|| {
            format!(
                "{text:?} is not a number of seconds below {}",
                u64::MAX / 1_000_000_000
            )
        })
}

/// Parses a duration such as `"500ms"` or `"1.5m"`, or a number of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|&(_, nanos)| decimal_times(number, nanos))
        .map(Duration::from_nanos)
        .ok_or_else(|| {
            "expected \"500ms\", \"5s\", \"1m\", \"2h\", \"1d\", or a number of seconds".into()
        })
}

/// Formats a time as seconds with 9 decimals.
pub(crate) fn format_seconds(time: Duration) -> String {
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

/// Returns `number * scale`, or `None` if that is not a whole number below 2^64. The form of `number`
/// is `digits` or `digits.digits`.
fn decimal_times(number: &str, scale: u64) -> Option<u64> {
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (number, None),
    };
    let whole = u128::from(digits(whole)?);
    let (decimals, divisor) = match decimals {
        Some(text) if text.len() <= 18 => {
            (u128::from(digits(text)?), 10u128.pow(text.len() as u32))
        }
        Some(_) => return None,
        None => (0, 1),
    };
    let scaled = (whole * divisor)
        .checked_add(decimals)?
        .checked_mul(u128::from(scale))?;
    if scaled % divisor == 0 {
        u64::try_from(scaled / divisor).ok()
    } else {
        None
    }
}

/// Parses a `u64` without a sign.
pub(crate) fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}
