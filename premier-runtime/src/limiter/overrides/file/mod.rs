//! Limits from a TOML file, which is read again and again for changes.

mod parse;
mod position;
mod spelling;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use self::parse::{FileEntry, parse};
use self::spelling::similar;
use super::{Source, alive, check, names, replace, reset};
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::quota::Limit;
use crate::limiter::named::Limiter;
use crate::sync::lock_std;
use crate::telemetry::record_limits_file;

/// How often the file is read. It is small, and reading it notices every kind of change: written in place,
/// replaced, or behind a link that points elsewhere.
const EVERY: Duration = Duration::from_millis(100);

/// How long a file must not have changed before it is applied: a file that is written in place may be half written.
const SETTLED: Duration = Duration::from_millis(300);

/// How often the metrics are set, so that an exporter which is installed late has them.
const METRICS_EVERY: Duration = Duration::from_secs(1);

/// The time after the start in which unknown entries are not reported, because their limits may not have been used
/// yet.
const GRACE: Duration = Duration::from_secs(10);

/// The state of the limits file of this process; see [`Config::limits_file`](crate::Config).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileStatus {
    /// How often its limits have been applied.
    pub applied: u64,
    /// Why the file, as it is now, has not been applied.
    pub error: Option<Error>,
    /// What changed when it was last applied, by name.
    pub changes: Vec<LimitChange>,
    /// The names of entries that no limit of this process has had so far: of limits that have not been used
    /// yet, or misspelled.
    pub unknown: Vec<Arc<str>>,
}

/// A limit that the limits file has changed.
///
/// `Display` writes both sides, as in `login: fixed_window 5/60s → fixed_window 10/60s`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LimitChange {
    /// The name of the limit.
    pub name: Arc<str>,
    /// The limits that were in force. Empty if no limit has the name yet and there was no entry for it.
    pub before: Vec<Limit>,
    /// The limits that are in force. Empty if the entry was taken out and no limit has the name.
    pub after: Vec<Limit>,
}

impl fmt::Display for LimitChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |limits: &[Limit]| match limits {
            [] => "as in the code".to_owned(),
            limits => {
                let limits: Vec<_> = limits.iter().map(Limit::to_string).collect();
                limits.join(" and ")
            }
        };
        let (before, after) = (text(&self.before), text(&self.after));
        write!(formatter, "{}: {before} → {after}", self.name)
    }
}

static STATUS: Mutex<Option<FileStatus>> = Mutex::new(None);

fn status() -> MutexGuard<'static, Option<FileStatus>> {
    lock_std(&STATUS)
}

/// The state of the limits file; `None` when there is none.
///
/// ```
/// use premier::limits;
///
/// if let Some(status) = limits::file_status() {
///     for change in &status.changes {
///         println!("{change}");
///     }
/// }
/// ```
#[must_use]
pub fn file_status() -> Option<FileStatus> {
    status().clone()
}

/// What was read, or why nothing could be read.
type Reading = Result<String, String>;

/// A limits file that has been read once.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    /// The last reading that was applied or refused.
    reading: Reading,
    /// A newer reading, which may be half written, and since when it has not changed.
    unsettled: Option<(Reading, Instant)>,
    entries: Vec<FileEntry>,
    /// The names of entries that a limit has had.
    known: BTreeSet<String>,
    /// The names that were reported as unknown.
    reported: BTreeSet<String>,
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
        let file = parse(&text).map_err(|message| refused(&path, &message))?;
        Ok(Self {
            path,
            reading: Ok(text),
            unsettled: None,
            entries: file.entries,
            known: BTreeSet::new(),
            reported: BTreeSet::new(),
        })
    }

    /// Applies the limits and follows the changes of the file.
    ///
    /// # Errors
    /// [`Error::Config`] when no thread can be started.
    pub(crate) fn watch(mut self) -> Result<(), Error> {
        *status() = Some(FileStatus::default());
        let applied = self.apply(&[]);
        self.record(applied);
        self.look_for_names();
        record_metrics();
        thread::Builder::new()
            .name("premier-limits".into())
            .spawn(move || self.follow())
            .map(drop)
            .map_err(|error| Error::config(format!("the limits file cannot be followed: {error}")))
    }

    fn follow(&mut self) {
        let started = Instant::now();
        let mut metrics_at = started;
        loop {
            thread::sleep(EVERY);
            let now = Instant::now();
            let has_changed = self.poll(now);
            self.look_for_names();
            if now.duration_since(started) >= GRACE {
                self.report_unknown();
            }
            if has_changed || now >= metrics_at {
                record_metrics();
                metrics_at = now + METRICS_EVERY;
            }
        }
    }

    /// Reads the file. Returns whether its state has changed.
    fn poll(&mut self, now: Instant) -> bool {
        let reading = fs::read_to_string(&self.path).map_err(|error| error.to_string());
        if reading == self.reading {
            self.unsettled = None;
            return false;
        }
        match &self.unsettled {
            Some((unsettled, since)) if *unsettled == reading => {
                if now.duration_since(*since) < SETTLED {
                    return false;
                }
            }
            _ => {
                self.unsettled = Some((reading, now));
                return false;
            }
        }
        self.unsettled = None;
        let changed = self.replace_by(&reading);
        self.reading = reading;
        self.record(changed);
        true
    }

    /// Applies the limits of another reading. Returns the changes.
    ///
    /// # Errors
    /// [`Error::Config`], and all limits stay as they are.
    fn replace_by(&mut self, reading: &Reading) -> Result<Vec<LimitChange>, Error> {
        let file = match reading {
            Ok(text) => parse(text),
            Err(error) => Err(format!("it cannot be read: {error}")),
        };
        let file = file.map_err(|message| refused(&self.path, &message))?;
        if !file.has_limits && !self.entries.is_empty() {
            let message = "it has no table [limits] and may be half written; an empty table [limits] removes all entries";
            return Err(refused(&self.path, message));
        }
        let before = std::mem::replace(&mut self.entries, file.entries);
        let applied = self.apply(&before);
        if applied.is_err() {
            self.entries = before;
        }
        applied
    }

    /// All or nothing: everything is checked before anything changes.
    fn apply(&self, before: &[FileEntry]) -> Result<Vec<LimitChange>, Error> {
        let mut replacements = Vec::new();
        for entry in &self.entries {
            let limits = entry.args.limits(algo_of(entry));
            check(&entry.name, &limits)
                .map_err(|error| refused(&self.path, &format!("{}: {error}", entry.position)))?;
            replacements.push((entry, limits));
        }
        let all = self.entries.iter().chain(before);
        let changed: BTreeSet<_> = all.map(|entry| &*entry.name).collect();
        let in_force: Vec<_> = changed.iter().map(|name| limits_of(name)).collect();
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
        let changes = changed
            .iter()
            .zip(in_force)
            .map(|(name, before)| LimitChange {
                name: Arc::from(*name),
                before,
                after: limits_of(name),
            });
        Ok(changes
            .filter(|change| change.before != change.after)
            .collect())
    }

    /// Keeps the outcome for [`file_status`] and reports it, without the lock: a subscriber may ask for the status.
    fn record(&self, result: Result<Vec<LimitChange>, Error>) {
        {
            let mut status = status();
            let status = status.get_or_insert_default();
            match &result {
                Ok(changes) => {
                    status.applied += 1;
                    status.error = None;
                    status.changes.clone_from(changes);
                }
                Err(error) => status.error = Some(error.clone()),
            }
        }
        #[cfg(feature = "tracing")]
        match result {
            Ok(changes) => {
                let changes: Vec<_> = changes.iter().map(LimitChange::to_string).collect();
                let changes = match &*changes {
                    [] => "none".to_owned(),
                    changes => changes.join("; "),
                };
                tracing::info!(target: "premier", file = %self.path.display(), changes, "limits applied");
            }
            Err(error) => {
                tracing::error!(target: "premier", file = %self.path.display(), %error, "limits stay as they are");
            }
        }
    }

    /// Notes which names of entries limits have.
    fn look_for_names(&mut self) {
        let mut unknown = Vec::new();
        {
            let names = names();
            for FileEntry { name, .. } in &self.entries {
                if self.known.contains(name) {
                    continue;
                }
                let is_alive = |limiter: &Weak<Limiter>| limiter.strong_count() > 0;
                match names.get(&**name) {
                    Some(named) if named.limiters.iter().any(is_alive) => {
                        self.known.insert(name.clone());
                    }
                    _ => unknown.push(Arc::from(&**name)),
                }
            }
        }
        status().get_or_insert_default().unknown = unknown;
    }

    /// Warns once of each name that no limit has.
    fn report_unknown(&mut self) {
        for FileEntry { name, .. } in &self.entries {
            if self.known.contains(name) || self.reported.contains(name) {
                continue;
            }
            self.reported.insert(name.clone());
            let known: Vec<_> = super::list().into_iter().map(|limit| limit.name).collect();
            let similar = similar(name, &known);
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "premier", file = %self.path.display(), limit = &**name, similar, "no limit of this name in the limits file has been used so far");
            #[cfg(not(feature = "tracing"))]
            let _ = similar;
        }
    }
}

fn record_metrics() {
    let status = file_status().unwrap_or_default();
    record_limits_file(status.error.is_none(), status.applied, status.unknown.len());
}

/// The limits of a name: those in force, or the override of a name that is not used yet.
fn limits_of(name: &str) -> Vec<Limit> {
    let (limiters, replacement) = match names().get(name) {
        Some(named) => (alive(named), named.replacement.clone()),
        None => return Vec::new(),
    };
    match (limiters.first(), replacement) {
        (Some(limiter), _) => limiter.limits(),
        (None, Some(replacement)) => replacement.limits.into(),
        (None, None) => Vec::new(),
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

fn refused(path: &Path, message: &str) -> Error {
    Error::config(Arc::<str>::from(format!(
        "the limits file {} is refused: {message}",
        path.display()
    )))
}
