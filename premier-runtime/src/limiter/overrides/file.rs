//! Limits from a TOML file that is followed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use serde::Deserialize;
use toml::Spanned;

use super::{Source, alive, check, names, replace, reset};
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::args::LimitArgs;

/// How often the file is read. It is small, and reading it notices every way to change it: written in
/// place, moved over, or behind a link that points elsewhere. A change applies once two readings are
/// equal.
const EVERY: Duration = Duration::from_millis(250);

/// The state of the limits file of this process; see [`Config::limits_file`](crate::Config).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileStatus {
    /// How often its limits have been applied.
    pub applied: u64,
    /// Why the file, as it is now, has not been applied.
    pub error: Option<Error>,
}

static STATUS: Mutex<Option<FileStatus>> = Mutex::new(None);

/// The state of the limits file; `None` when there is none.
#[must_use]
pub fn file_status() -> Option<FileStatus> {
    STATUS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    limits: BTreeMap<String, Spanned<FileLimit>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimit {
    algo: Option<String>,
    rate: Option<Spanned<String>>,
    rates: Option<Vec<Spanned<String>>>,
    quota: Option<u64>,
    duration: Option<String>,
    burst: Option<u64>,
    bucket_size: Option<u64>,
}

/// The entry of a name. It may leave the algorithm to the limit that it is for.
#[derive(Clone, Debug, PartialEq)]
struct FileEntry {
    name: String,
    line: usize,
    algo: Option<Algo>,
    args: LimitArgs,
}

/// A limits file that has been read once.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    /// The text that was read last; `None` when the file could not be read.
    text: Option<String>,
    /// A text that has been read once, and may have been caught half written.
    seen: Option<String>,
    entries: Vec<FileEntry>,
}

impl Watched {
    /// # Errors
    /// [`Error::Config`] that names the line.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::config(format!(
                "the limits file {} cannot be read: {error}",
                path.display()
            ))
        })?;
        let entries = parse(&text).map_err(|message| refused(&path, &message))?;
        Ok(Self {
            path,
            text: Some(text),
            seen: None,
            entries,
        })
    }

    /// Puts its limits in force and follows its changes.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no thread to follow them.
    pub(crate) fn watch(mut self) -> Result<(), Error> {
        *STATUS.lock().unwrap_or_else(PoisonError::into_inner) = Some(FileStatus::default());
        let applied = self.apply(&[]);
        self.record(applied);
        thread::Builder::new()
            .name("premier-limits".into())
            .spawn(move || {
                loop {
                    thread::sleep(EVERY);
                    self.poll();
                }
            })
            .map(drop)
            .map_err(|error| Error::config(format!("the limits file cannot be followed: {error}")))
    }

    fn poll(&mut self) {
        let read = fs::read_to_string(&self.path);
        let text = read.as_ref().ok();
        if text == self.text.as_ref() {
            self.seen = None;
            return;
        }
        if text.is_some() && text != self.seen.as_ref() {
            self.seen = text.cloned();
            return;
        }
        self.text = text.cloned();
        let changed = read
            .map_err(|error| format!("it cannot be read: {error}"))
            .and_then(|text| parse(&text))
            .map_err(|message| refused(&self.path, &message))
            .and_then(|entries| {
                let before = std::mem::replace(&mut self.entries, entries);
                let applied = self.apply(&before);
                if applied.is_err() {
                    self.entries = before;
                }
                applied
            });
        self.record(changed);
    }

    /// All or nothing: everything is checked before anything changes.
    fn apply(&self, before: &[FileEntry]) -> Result<(), Error> {
        let mut replacements = Vec::new();
        for entry in &self.entries {
            let algo = algo_of(entry);
            let limits = entry.args.limits(algo);
            check(&entry.name, &limits)
                .map_err(|error| refused(&self.path, &format!("line {}: {error}", entry.line)))?;
            replacements.push((entry, limits));
        }
        for (entry, limits) in replacements {
            let any_algo = entry.algo.is_none();
            replace(&entry.name, &limits, Source::File { any_algo })?;
        }
        for gone in before {
            if self.entries.iter().all(|entry| entry.name != gone.name)
                && is_set_by_file(&gone.name)
            {
                reset(&gone.name);
            }
        }
        Ok(())
    }

    /// Keeps the outcome for [`file_status`] and reports it, without the lock: a subscriber may ask for the status.
    fn record(&self, result: Result<(), Error>) {
        #[cfg(feature = "tracing")]
        let failure = result.as_ref().err().cloned();
        set_status(result);
        #[cfg(feature = "tracing")]
        match failure {
            None => {
                tracing::info!(target: "premier", file = %self.path.display(), "limits applied");
            }
            Some(error) => {
                tracing::error!(target: "premier", %error, "limits stay as they are");
            }
        }
    }
}

fn set_status(result: Result<(), Error>) {
    let mut status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    let status = status.get_or_insert_default();
    match result {
        Ok(()) => {
            status.applied += 1;
            status.error = None;
        }
        Err(error) => status.error = Some(error),
    }
}

/// The algorithm of an entry: its own, or that of the limit that it is for.
fn algo_of(entry: &FileEntry) -> Algo {
    let limiters = names().get(&*entry.name).map(alive).unwrap_or_default();
    let in_force = limiters
        .first()
        .and_then(|limiter| limiter.limits().first().copied());
    entry.algo.or(in_force.map(|limit| limit.algo())).unwrap_or(
        match (entry.args.burst, entry.args.bucket_size) {
            (Some(_), _) => Algo::TokenBucket,
            (None, Some(_)) => Algo::LeakyBucket,
            (None, None) => Algo::default(),
        },
    )
}

fn is_set_by_file(name: &str) -> bool {
    names()
        .get(name)
        .and_then(|named| named.replacement.as_ref())
        .is_some_and(|replacement| matches!(replacement.source, Source::File { .. }))
}

fn refused(path: &std::path::Path, message: &str) -> Error {
    Error::config(Arc::<str>::from(format!(
        "the limits file {} is refused: {message}",
        path.display()
    )))
}

fn parse(text: &str) -> Result<Vec<FileEntry>, String> {
    let line = |span: Range<usize>| line_of(text, span.start);
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or_else(String::new, |span| {
            format!("line {}: ", line_of(text, span.start))
        });
        format!("{at}{}", error.message())
    })?;
    file.limits
        .into_iter()
        .map(|(name, entry)| {
            let line = line(entry.span());
            file_entry(name, line, entry.into_inner()).map_err(|(at, message)| {
                let line = at.map_or(line, |at| line_of(text, at));
                format!("line {line}: {message}")
            })
        })
        .collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// A mistake, and where the value is that it is about, if it is about one.
type Mistake = (Option<usize>, String);

fn rate(text: &Spanned<String>) -> Result<(u64, Duration), Mistake> {
    premier_parse::parse_rate(text.as_ref())
        .map(|(quota, nanos)| (quota, Duration::from_nanos(nanos)))
        .map_err(|message| (Some(text.span().start), message))
}

fn file_entry(name: String, line: usize, entry: FileLimit) -> Result<FileEntry, Mistake> {
    let of_entry = |message: String| (None, message);
    let rates = match (entry.rate, entry.rates, entry.quota, entry.duration) {
        (Some(rate), None, None, None) => vec![self::rate(&rate)?],
        (None, Some(rates), None, None) if !rates.is_empty() => {
            rates.iter().map(self::rate).collect::<Result<_, _>>()?
        }
        (None, None, Some(quota), Some(duration)) => {
            let period = premier_parse::parse_duration(&duration).map_err(of_entry)?;
            vec![(quota, Duration::from_nanos(period))]
        }
        _ => {
            return Err(of_entry(format!(
                "{name} needs one of: rate = \"10/s\"; rates = [\"5/s\", \"100/min\"]; quota = 10 with duration = \"1s\""
            )));
        }
    };
    let algo = entry.algo.map(|algo| algo.parse()).transpose();
    let read = FileEntry {
        name,
        line,
        algo: algo.map_err(|error: Error| of_entry(error.to_string()))?,
        args: LimitArgs {
            rates,
            burst: entry.burst,
            bucket_size: entry.bucket_size,
            lease: None,
        },
    };
    // What is left to be checked depends on the limit that it is for.
    if let Some(algo) = read.algo {
        for limit in read.args.limits(algo) {
            limit
                .validate()
                .map_err(|error| of_entry(error.to_string()))?;
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn every_notation_is_read() {
        let entries = parse(
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
"#,
        )
        .unwrap();
        let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, ["login", "shop::search:search", "upload"]);
        assert_eq!(
            entries[0].args.rates,
            [
                (5, Duration::from_secs(60)),
                (20, Duration::from_secs(3_600))
            ]
        );
        assert_eq!(entries[1].args.burst, Some(200));
        assert_eq!(entries[2].args.rates, [(3, Duration::from_secs(5))]);
    }

    #[test]
    fn mistakes_are_reported_with_their_line() {
        for (text, message) in [
            (
                "[limits.a]\nrate = \"10/s\"\n\n[limits.b]\nrte = 1\n",
                "line 5: unknown field",
            ),
            ("[limits.a]\nrate = 10\n", "line 2: invalid type"),
            ("[limits.a\n", "line 1"),
            (
                "\n[limits.a]\nrate = \"ten/s\"\n",
                "line 3: \"ten/s\" is not a rate",
            ),
            ("[limits.a]\n", "line 1: a needs one of"),
            (
                "[limits.a]\nrate = \"1/s\"\nquota = 3\n",
                "line 1: a needs one of",
            ),
            (
                "[limits.a]\nrate = \"1/s\"\nalgo = \"fixed_window\"\nburst = 2\n",
                "line 1: burst is for token_bucket",
            ),
            (
                "[limit.a]\nrate = \"1/s\"\n",
                "line 1: unknown field `limit`",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
