//! Limits from a TOML file that is followed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use serde::Deserialize;
use toml::Spanned;

use super::{ByFile, alive, check, names, reset, want};
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::args::LimitArgs;

/// How often the file is read. It is small, and reading it sees every way to change it: written in
/// place, moved over, or behind a link that points elsewhere. What has changed applies when it is
/// read the same twice.
const EVERY: Duration = Duration::from_millis(250);

/// How the limits file of this process fares; see [`Config::limits_file`](crate::Config).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileStatus {
    /// How often its limits were put in force.
    pub applied: u64,
    /// Why the file, as it is now, was not.
    pub error: Option<Error>,
}

static STATUS: Mutex<Option<FileStatus>> = Mutex::new(None);

/// How the limits file fares; `None` when there is none.
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
    limits: BTreeMap<String, Spanned<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    algo: Option<String>,
    rate: Option<Spanned<String>>,
    rates: Option<Vec<Spanned<String>>>,
    quota: Option<u64>,
    duration: Option<String>,
    burst: Option<u64>,
    bucket_size: Option<u64>,
}

/// What a file says of a name. The algorithm may be left to the limit that it is for.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    name: String,
    line: usize,
    algo: Option<Algo>,
    terms: LimitArgs,
}

/// A limits file that has been read once.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    /// What was read last; `None` when nothing could be.
    text: Option<String>,
    /// What has been read once: it may have been caught half written.
    seen: Option<String>,
    said: Vec<Said>,
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
        let said = parse(&text).map_err(|message| refused(&path, &message))?;
        Ok(Self {
            path,
            text: Some(text),
            seen: None,
            said,
        })
    }

    /// Puts its limits in force and follows its changes.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no thread to follow them.
    pub(crate) fn watch(mut self) -> Result<(), Error> {
        *STATUS.lock().unwrap_or_else(PoisonError::into_inner) = Some(FileStatus::default());
        let applied = self.apply(&[]);
        self.note(applied);
        thread::Builder::new()
            .name("premier-limits".into())
            .spawn(move || {
                loop {
                    thread::sleep(EVERY);
                    self.look();
                }
            })
            .map(drop)
            .map_err(|error| Error::config(format!("the limits file cannot be followed: {error}")))
    }

    fn look(&mut self) {
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
            .and_then(|said| {
                let before = std::mem::replace(&mut self.said, said);
                let applied = self.apply(&before);
                if applied.is_err() {
                    self.said = before;
                }
                applied
            });
        self.note(changed);
    }

    /// All or nothing: everything is checked before anything changes.
    fn apply(&self, before: &[Said]) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for said in &self.said {
            let algo = algo_of(said);
            let limits = said.terms.limits(algo);
            check(&said.name, &limits)
                .map_err(|error| refused(&self.path, &format!("line {}: {error}", said.line)))?;
            wanted.push((said, limits));
        }
        for (said, limits) in wanted {
            let by_file = ByFile {
                any_algo: said.algo.is_none(),
            };
            want(&said.name, &limits, Some(by_file))?;
        }
        for gone in before {
            if self.said.iter().all(|said| said.name != gone.name) && is_by_file(&gone.name) {
                reset(&gone.name);
            }
        }
        Ok(())
    }

    fn note(&self, result: Result<(), Error>) {
        let mut status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
        let status = status.get_or_insert_default();
        match result {
            Ok(()) => {
                status.applied += 1;
                status.error = None;
                #[cfg(feature = "tracing")]
                tracing::info!(target: "premier", file = %self.path.display(), "limits applied");
            }
            Err(error) => {
                #[cfg(feature = "tracing")]
                tracing::error!(target: "premier", %error, "limits stay as they are");
                status.error = Some(error);
            }
        }
    }
}

/// Whom an entry is for decides where the entry does not say.
fn algo_of(said: &Said) -> Algo {
    let limiters = names().get(&*said.name).map(alive).unwrap_or_default();
    let in_force = limiters
        .first()
        .and_then(|limiter| limiter.limits().first().copied());
    said.algo.or(in_force.map(|limit| limit.algo())).unwrap_or(
        match (said.terms.burst, said.terms.bucket_size) {
            (Some(_), _) => Algo::TokenBucket,
            (None, Some(_)) => Algo::LeakyBucket,
            (None, None) => Algo::default(),
        },
    )
}

fn is_by_file(name: &str) -> bool {
    names()
        .get(name)
        .and_then(|named| named.wanted.as_ref())
        .is_some_and(|wanted| wanted.by_file.is_some())
}

fn refused(path: &std::path::Path, message: &str) -> Error {
    Error::config(Arc::<str>::from(format!(
        "the limits file {} is refused: {message}",
        path.display()
    )))
}

fn parse(text: &str) -> Result<Vec<Said>, String> {
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
            said(name, line, entry.into_inner()).map_err(|(at, message)| {
                let line = at.map_or(line, |at| line_of(text, at));
                format!("line {line}: {message}")
            })
        })
        .collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// A mistake, and where its value stands if it is one value's.
type Mistake = (Option<usize>, String);

fn rate(text: &Spanned<String>) -> Result<(u64, Duration), Mistake> {
    premier_parse::parse_rate(text.as_ref())
        .map(|(quota, nanos)| (quota, Duration::from_nanos(nanos)))
        .map_err(|message| (Some(text.span().start), message))
}

fn said(name: String, line: usize, entry: Entry) -> Result<Said, Mistake> {
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
    let said = Said {
        name,
        line,
        algo: algo.map_err(|error: Error| of_entry(error.to_string()))?,
        terms: LimitArgs {
            rates,
            burst: entry.burst,
            bucket_size: entry.bucket_size,
        },
    };
    // What is left to be checked depends on the limit that it is for.
    if let Some(algo) = said.algo {
        for limit in said.terms.limits(algo) {
            limit
                .validate()
                .map_err(|error| of_entry(error.to_string()))?;
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn every_notation_is_read() {
        let said = parse(
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
        let names: Vec<_> = said.iter().map(|said| &*said.name).collect();
        assert_eq!(names, ["login", "shop::search:search", "upload"]);
        assert_eq!(
            said[0].terms.rates,
            [
                (5, Duration::from_secs(60)),
                (20, Duration::from_secs(3_600))
            ]
        );
        assert_eq!(said[1].terms.burst, Some(200));
        assert_eq!(said[2].terms.rates, [(3, Duration::from_secs(5))]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
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
