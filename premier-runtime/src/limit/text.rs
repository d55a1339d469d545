//! How a limit is written as text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::lease::Lease;
use crate::limit::quota::Limit;

/// What `FromStr` and serde accept.
pub(super) const EXPECTED: &str = "a limit, as in \"100/min\", \"sliding_window 3/5s\", \"token_bucket 5/s, burst 10\" or \"leaky_bucket 10/s, bucket_size 20\"";

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algo, quota, period) = (self.algo(), self.quota(), self.period());
        write!(formatter, "{algo} {quota}/{period:?}")?;
        if let Some(tokens) = self.stated_burst() {
            write!(formatter, ", burst {tokens}")?;
        }
        if let Some(units) = self.stated_bucket_size() {
            write!(formatter, ", bucket_size {units}")?;
        }
        match self.stated_lease() {
            Some(lease) => write!(formatter, ", lease {lease}"),
            None => Ok(()),
        }
    }
}

/// Reads what `Display` writes, with these liberties: the algorithm may be left out, periods may be
/// written as in `rate` of the attribute, and commas may be spaces.
///
/// Without an algorithm it is [`Algo::TokenBucket`] where there is a burst, [`Algo::LeakyBucket`] where
/// there is a bucket size, and [`Algo::FixedWindow`] otherwise, whatever
/// [`Config::algo`](crate::Config::algo) says.
///
/// # Errors
/// [`Error::Config`] that says what is accepted, or which value is out of range.
impl FromStr for Limit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|reason| {
            Error::config(format!(
                "{text:?} is not a limit: {reason}; expected {EXPECTED}"
            ))
        })
    }
}

fn parse(text: &str) -> Result<Limit, String> {
    let mut words = text
        .split(|character: char| character == ',' || character.is_whitespace())
        .filter(|word| !word.is_empty())
        .peekable();
    let stated = match words.next_if(|word| !word.contains('/')) {
        Some(name) => Some(name.parse::<Algo>().map_err(|error| error.to_string())?),
        None => None,
    };
    let rate = words.next().ok_or("it has no rate")?;
    let (quota, nanos) = premier_parse::parse_rate(rate)?;
    let (mut burst, mut bucket_size, mut lease) = (None, None, None);
    while let Some(name) = words.next() {
        if name == "lease" {
            let value = words.next().unwrap_or_default().parse::<Lease>();
            if lease
                .replace(value.map_err(|error| error.to_string())?)
                .is_some()
            {
                return Err("lease is there twice".into());
            }
            continue;
        }
        let number = match name {
            "burst" => &mut burst,
            "bucket_size" => &mut bucket_size,
            _ => return Err(format!("{name:?} is none of burst, bucket_size and lease")),
        };
        let value = words
            .next()
            .and_then(|value| value.replace('_', "").parse().ok());
        let value: u64 = value.ok_or_else(|| format!("{name} needs a number"))?;
        if number.replace(value).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    let algo = stated.unwrap_or(match (burst, bucket_size) {
        (Some(_), _) => Algo::TokenBucket,
        (None, Some(_)) => Algo::LeakyBucket,
        (None, None) => Algo::FixedWindow,
    });
    let mut limit = Limit::new(algo, quota, Duration::from_nanos(nanos));
    if let Some(tokens) = burst {
        limit = limit.burst(tokens);
    }
    if let Some(units) = bucket_size {
        limit = limit.bucket_size(units);
    }
    if let Some(lease) = lease {
        limit = limit.lease(lease);
    }
    limit.check()?;
    Ok(limit)
}
