//! Reads the text of a limits file.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::position::{Mistake, Position, mistake};
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::args::LimitArgs;
use crate::limit::lease::Lease;

const KEYS: &str = "rate, rates, quota, duration, burst, bucket_size, lease and algo";

/// The entries of a limits file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) entries: Vec<FileEntry>,
    /// Whether there is a table `limits`. A file that is still being written has none.
    pub(super) has_limits: bool,
}

/// The entry of a name. Without an algorithm it takes that of the limit that it is for.
#[derive(Clone, Debug)]
pub(super) struct FileEntry {
    pub(super) name: String,
    pub(super) position: Position,
    pub(super) algo: Option<Algo>,
    pub(super) args: LimitArgs,
}

/// Reads a file.
///
/// # Errors
/// The position of a mistake, and what premier accepts there.
pub(super) fn parse(text: &str) -> Result<File, String> {
    let read = match DeTable::parse(text) {
        Ok(document) => file(text, document.get_ref()),
        Err(error) => Err(Mistake {
            at: error.span().map_or(text.len(), |span| span.start),
            message: error.message().to_owned(),
        }),
    };
    read.map_err(|Mistake { at, message }| format!("{}: {message}", Position::of(text, at)))
}

fn file(text: &str, document: &DeTable<'_>) -> Result<File, Mistake> {
    let mut file = File {
        entries: Vec::new(),
        has_limits: false,
    };
    for (key, value) in document {
        if key.get_ref() != "limits" {
            let message = format!(
                "{:?} is not known: a limits file has a table [limits.\"NAME\"] for each limit",
                key.get_ref()
            );
            return Err(mistake(key.span(), message));
        }
        let Some(limits) = value.get_ref().as_table() else {
            let message = "limits is a table: write [limits.\"NAME\"] for each limit";
            return Err(mistake(value.span(), message));
        };
        file.has_limits = true;
        for (name, entry) in limits {
            let entry = Reader {
                text,
                name: name.get_ref(),
                at: entry.span(),
            }
            .entry(entry)?;
            file.entries.push(entry);
        }
    }
    Ok(file)
}

/// Reads the entry of one name.
struct Reader<'a> {
    text: &'a str,
    name: &'a str,
    /// Where the entry begins.
    at: Range<usize>,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn entry(&self, entry: &Value<'_>) -> Result<FileEntry, Mistake> {
        let Some(table) = entry.get_ref().as_table() else {
            let message = format!(
                "a limit is a table: write [limits.{:?}], and below it rate = \"10/s\"",
                self.name
            );
            return Err(mistake(entry.span(), message));
        };
        let (mut rates, mut quota, mut duration, mut algo) = (None, None, None, None);
        let (mut burst, mut bucket_size, mut lease) = (None, None, None);
        for (key, value) in table {
            match &**key.get_ref() {
                "rate" => rates = both(rates, vec![self.rate(value)?], value)?,
                "rates" => rates = both(rates, self.rates(value)?, value)?,
                "quota" => quota = Some((self.number("quota", value)?, value.span())),
                "duration" => duration = Some((self.duration(value)?, value.span())),
                "burst" => burst = Some(self.number("burst", value)?),
                "bucket_size" => bucket_size = Some(self.number("bucket_size", value)?),
                "lease" => lease = Some(self.lease(value)?),
                "algo" => algo = Some(self.algo(value)?),
                other => return Err(self.unknown(other, key.span(), value)),
            }
        }
        let rates = match (rates, quota, duration) {
            (Some(rates), None, None) => rates,
            (None, Some((quota, _)), Some((period, _))) => vec![(quota, period)],
            (None, Some((_, at)), None) => {
                return Err(mistake(
                    at,
                    "quota needs a duration, as in duration = \"1s\"",
                ));
            }
            (None, None, Some((_, at))) => {
                return Err(mistake(at, "duration needs a quota, as in quota = 10"));
            }
            (Some(_), Some((_, at)), _) | (Some(_), None, Some((_, at))) => {
                return Err(mistake(at, "give either a rate, or quota and duration"));
            }
            (None, None, None) => {
                let message = format!(
                    "{} needs one of: rate = \"10/s\"; rates = [\"5/s\", \"100/min\"]; quota = 10 with duration = \"1s\"",
                    self.name
                );
                return Err(mistake(self.at.clone(), message));
            }
        };
        let args = LimitArgs {
            rates,
            burst,
            bucket_size,
            lease,
        };
        // The other checks depend on the limit that the entry is for.
        if let Some(algo) = algo {
            for limit in args.limits(algo) {
                limit
                    .validate()
                    .map_err(|error| mistake(self.at.clone(), error.to_string()))?;
            }
        }
        Ok(FileEntry {
            name: self.name.to_owned(),
            position: Position::of(self.text, self.at.start),
            algo,
            args,
        })
    }

    /// The value as it is written.
    fn written(&self, value: &Value<'_>) -> &str {
        self.text.get(value.span()).unwrap_or_default()
    }

    fn rate(&self, value: &Value<'_>) -> Result<(u64, Duration), Mistake> {
        let Some(text) = value.get_ref().as_str() else {
            let message = format!(
                "a rate is a text, as in \"10/s\", not {}",
                self.written(value)
            );
            return Err(mistake(value.span(), message));
        };
        let (quota, nanos) =
            premier_parse::parse_rate(text).map_err(|message| mistake(value.span(), message))?;
        Ok((quota, Duration::from_nanos(nanos)))
    }

    fn rates(&self, value: &Value<'_>) -> Result<Vec<(u64, Duration)>, Mistake> {
        match value.get_ref().as_array() {
            Some(rates) if !rates.is_empty() => rates.iter().map(|rate| self.rate(rate)).collect(),
            _ => {
                let message = format!(
                    "rates is a list, as in [\"5/s\", \"100/min\"], not {}",
                    self.written(value)
                );
                Err(mistake(value.span(), message))
            }
        }
    }

    fn number(&self, key: &str, value: &Value<'_>) -> Result<u64, Mistake> {
        let number = value.get_ref().as_integer();
        number
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or_else(|| {
                let message = format!(
                    "{key} is a whole number, as in {key} = 10, not {}",
                    self.written(value)
                );
                mistake(value.span(), message)
            })
    }

    fn duration(&self, value: &Value<'_>) -> Result<Duration, Mistake> {
        let nanos = match value.get_ref() {
            DeValue::String(text) => premier_parse::parse_duration(text),
            DeValue::Integer(_) | DeValue::Float(_) => {
                premier_parse::parse_seconds(self.written(value))
            }
            _ => Err(format!(
                "duration is a number of seconds or a text, as in \"500ms\", not {}",
                self.written(value)
            )),
        };
        let nanos = nanos.map_err(|message| mistake(value.span(), message))?;
        Ok(Duration::from_nanos(nanos))
    }

    fn lease(&self, value: &Value<'_>) -> Result<Lease, Mistake> {
        match value.get_ref() {
            DeValue::Integer(_) => self.number("lease", value).map(Lease::Units),
            DeValue::String(text) => text
                .parse()
                .map_err(|error: Error| mistake(value.span(), error.to_string())),
            _ => {
                let message = format!(
                    "lease is a whole number or a percentage, as in \"10%\", not {}",
                    self.written(value)
                );
                Err(mistake(value.span(), message))
            }
        }
    }

    fn algo(&self, value: &Value<'_>) -> Result<Algo, Mistake> {
        let text = value.get_ref().as_str().ok_or_else(|| {
            let message = format!(
                "algo is a text, as in \"token_bucket\", not {}",
                self.written(value)
            );
            mistake(value.span(), message)
        })?;
        text.parse()
            .map_err(|error: Error| mistake(value.span(), error.to_string()))
    }

    fn unknown(&self, key: &str, at: Range<usize>, value: &Value<'_>) -> Mistake {
        let message = match value.get_ref() {
            DeValue::Table(_) => format!(
                "a name with dots stands in quotes: write [limits.\"{}.{key}\"]",
                self.name
            ),
            _ => format!("{key:?} is not known: a limit has {KEYS}"),
        };
        mistake(at, message)
    }
}

/// The rates of an entry, which has either `rate` or `rates`.
fn both(
    before: Option<Vec<(u64, Duration)>>,
    rates: Vec<(u64, Duration)>,
    value: &Value<'_>,
) -> Result<Option<Vec<(u64, Duration)>>, Mistake> {
    match before {
        None => Ok(Some(rates)),
        Some(_) => Err(mistake(value.span(), "give either rate or rates")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_read() {
        let file = parse(
            r#"
[limits."shop::search:search"]
rate = "100/s"
burst = 200
algo = "token_bucket"

[limits.login]
rates = ["5/min", "20/h"]

[limits.upload]
quota = 3
duration = "5s"

[limits.whole]
quota = 1_000
duration = 5

[limits.part]
quota = 3
duration = 0.5
lease = 2

[limits.leased]
rate = "1000/s"
lease = "10%"
"#,
        )
        .unwrap();
        let entry = |name: &str| {
            let mut entries = file.entries.iter();
            entries.find(|entry| entry.name == name).unwrap()
        };
        assert_eq!(file.entries.len(), 6);
        let secs = Duration::from_secs;
        assert_eq!(
            entry("login").args.rates,
            [(5, secs(60)), (20, secs(3_600))]
        );
        let search = entry("shop::search:search");
        assert_eq!(search.args.burst, Some(200));
        assert_eq!(search.algo, Some(Algo::TokenBucket));
        assert_eq!(entry("upload").args.rates, [(3, secs(5))]);
        assert_eq!(entry("whole").args.rates, [(1_000, secs(5))]);
        assert_eq!(entry("part").args.rates, [(3, Duration::from_millis(500))]);
        assert_eq!(entry("part").args.lease, Some(Lease::Units(2)));
        assert_eq!(entry("leased").args.lease, Some(Lease::Percent(10)));
    }

    #[test]
    fn mistakes_are_reported_with_their_place_and_what_is_accepted_there() {
        for (text, message) in [
            (
                "[limits.a]\nrate = \"10/s\"\n\n[limits.b]\nrte = 1\n",
                "line 5, column 1: \"rte\" is not known: a limit has rate, rates, quota",
            ),
            (
                "[limits.a]\nrate = 10\n",
                "line 2, column 8: a rate is a text, as in \"10/s\", not 10",
            ),
            (
                "[limits.a]\nrates = \"10/s\"\n",
                "line 2, column 9: rates is a list, as in [\"5/s\", \"100/min\"], not \"10/s\"",
            ),
            (
                "[limits.a]\nrate = \"1/s\"\nburst = \"200\"\n",
                "line 3, column 9: burst is a whole number, as in burst = 10, not \"200\"",
            ),
            (
                "[limits.a]\nquota = -1\nduration = 1\n",
                "line 2, column 9: quota is a whole number, as in quota = 10, not -1",
            ),
            (
                "[limits.a]\nquota = 1\nduration = true\n",
                "line 3, column 12: duration is a number of seconds or a text, as in \"500ms\", not true",
            ),
            (
                "[limits.a]\nquota = 1\nduration = \"5\"\n",
                "line 3, column 12: duration \"5\" has no unit",
            ),
            (
                "[limits.a]\nrate = \"9/s\"\nlease = \"some\"\n",
                "line 3, column 9: \"some\" is not a lease: expected units or a percentage",
            ),
            (
                "[limits.a]\nrate = \"9/s\"\nlease = true\n",
                "line 3, column 9: lease is a whole number or a percentage, as in \"10%\", not true",
            ),
            (
                "[limits.a]\nrate = \"9/s\"\nlease = 10\nalgo = \"token_bucket\"\n",
                "line 1, column 1: a lease of 10 units: expected 1 to the capacity, which is 9",
            ),
            ("[limits.a\n", "line 1, column "),
            (
                "\n[limits.a]\nrate = \"ten/s\"\n",
                "line 3, column 8: \"ten/s\" is not a rate",
            ),
            ("[limits.a]\n", "line 1, column 1: a needs one of"),
            (
                "[limits.a]\nquota = 3\n",
                "line 2, column 9: quota needs a duration",
            ),
            (
                "[limits.a]\nrate = \"1/s\"\nquota = 3\n",
                "line 3, column 9: give either a rate, or quota and duration",
            ),
            (
                "[limits.a]\nrate = \"1/s\"\nrates = [\"1/s\"]\n",
                "line 3, column 9: give either rate or rates",
            ),
            (
                "[limits.a]\nrate = \"1/s\"\nalgo = \"bucket\"\n",
                "line 3, column 8: ",
            ),
            (
                "[limits.a]\nrate = \"1/s\"\nalgo = \"fixed_window\"\nburst = 2\n",
                "line 1, column 1: burst is for token_bucket",
            ),
            (
                "[limit.a]\nrate = \"1/s\"\n",
                "line 1, column 2: \"limit\" is not known: a limits file has a table [limits.",
            ),
            (
                "[limits]\nlogin = \"10/s\"\n",
                "line 2, column 9: a limit is a table: write [limits.\"login\"]",
            ),
            (
                "[limits.shop.search]\nrate = \"1/s\"\n",
                "line 1, column 14: a name with dots stands in quotes: write [limits.\"shop.search\"]",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
