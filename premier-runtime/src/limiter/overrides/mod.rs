//! Limits that change while the process runs.
//!
//! A limit is known by the name that stands in its errors and keys: the path of an annotated
//! function (`shop::cart:Cart::add`), or the name of a [`Throttle`](crate::Throttle). What has been
//! consumed stays consumed, and a higher rate counts from now on only.
//!
//! ```
//! use premier::{Limit, Throttle, limits};
//! use std::time::Duration;
//!
//! let minute = Duration::from_secs(60);
//! let upload = Throttle::new("upload", Limit::fixed_window(2, minute));
//! upload.cost(2).acquire("alice")?;
//! assert!(!upload.check("alice")?.allowed);
//!
//! assert_eq!(limits::set("upload", Limit::fixed_window(5, minute))?, 1);
//! assert_eq!(upload.check("alice")?.remaining, 2);
//!
//! limits::reset("upload");
//! assert!(!upload.check("alice")?.allowed);
//! # Ok::<(), premier::Error>(())
//! ```

#[cfg(feature = "limits-file")]
pub(crate) mod file;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::Error;
use crate::limit::quota::Limit;
use crate::limiter::named::Limiter;
use crate::limiter::wait_queue::notify_every_queue;

#[cfg(feature = "limits-file")]
pub use self::file::{FileStatus, file_status};

/// What is known of a name.
#[derive(Debug, Default)]
struct Named {
    limiters: Vec<Weak<Limiter>>,
    /// What the code says has been replaced by this.
    wanted: Option<Wanted>,
}

#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    limits: Box<[Limit]>,
    /// The file takes back what it has set, and nothing else.
    by_file: Option<ByFile>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct ByFile {
    /// Whether the algorithm is left to the limit that it is for.
    any_algo: bool,
}

static NAMES: Mutex<BTreeMap<Arc<str>, Named>> = Mutex::new(BTreeMap::new());

/// Whether any limit has ever changed. Until then call sites need not look whether theirs has.
static CHANGED: AtomicBool = AtomicBool::new(false);

#[inline]
pub(crate) fn any_changed() -> bool {
    CHANGED.load(Ordering::Relaxed)
}

/// Before a limit changes.
pub(crate) fn note_change() {
    CHANGED.store(true, Ordering::Relaxed);
}

/// A limit of this process, as it is in force.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NamedLimit {
    /// By which it is [`set`].
    pub name: Arc<str>,
    /// What decides; several decide as one.
    pub limits: Vec<Limit>,
}

/// Replaces the limit of a name, in this process, from the next decision on. How many limits have
/// it; 0 when none has been used yet: then it is what the first use begins with.
///
/// On Redis every process decides by its own idea of a limit: set it in all of them, for instance by
/// a limits file.
///
/// # Errors
/// [`Error::Config`] when the limit is out of range, or of another algorithm than the one it
/// replaces, whose state could not be kept. Nothing has changed then.
pub fn set(name: &str, limit: Limit) -> Result<usize, Error> {
    set_all(name, &[limit])
}

/// The same as [`set`] for limits that decide as one. There have to be as many as before.
///
/// # Errors
/// As for [`set`].
pub fn set_all(name: &str, limits: &[Limit]) -> Result<usize, Error> {
    check(name, limits)?;
    want(name, limits, None)
}

/// Goes back to what the code says. How many limits have the name.
pub fn reset(name: &str) -> usize {
    let mut names = names();
    let Some(named) = names.get_mut(name) else {
        return 0;
    };
    named.wanted = None;
    let limiters = alive(named);
    if limiters.is_empty() {
        names.remove(name);
    }
    drop(names);
    for limiter in &limiters {
        limiter.restore();
    }
    notify_every_queue();
    limiters.len()
}

/// The limits that have been used, by name.
#[must_use]
pub fn list() -> Vec<NamedLimit> {
    let limiters: Vec<_> = names().values().map(alive).collect();
    limiters
        .iter()
        .filter_map(|limiters| limiters.first())
        .map(|limiter| NamedLimit {
            name: Arc::clone(limiter.function()),
            limits: limiter.limits(),
        })
        .collect()
}

/// All that decide in this process.
#[cfg(feature = "dashboard")]
pub(crate) fn limiters() -> Vec<Arc<Limiter>> {
    names().values().flat_map(alive).collect()
}

/// Names a limit that begins to decide, by what has been wanted of it before.
pub(crate) fn register(limiter: &Arc<Limiter>) {
    let mut names = names();
    let named = names.entry(Arc::clone(limiter.function())).or_default();
    named.limiters.retain(|limiter| limiter.strong_count() > 0);
    named.limiters.push(Arc::downgrade(limiter));
    let wanted = named.wanted.clone();
    drop(names);
    let Some(Wanted {
        mut limits,
        by_file,
    }) = wanted
    else {
        return;
    };
    let algo = limiter.limits().first().map(Limit::algo);
    if let (Some(ByFile { any_algo: true }), Some(algo)) = (by_file, algo) {
        for limit in &mut limits {
            *limit = limit.by(algo);
        }
    }
    if let Err(error) = limiter.change(&limits) {
        complain(limiter.function(), &error);
    }
}

/// Forgets a limit that is no more.
pub(crate) fn forget(name: &str) {
    let mut names = names();
    if let Some(named) = names.get_mut(name) {
        named.limiters.retain(|limiter| limiter.strong_count() > 0);
        if named.limiters.is_empty() && named.wanted.is_none() {
            names.remove(name);
        }
    }
}

/// Whether the limits of a name can be replaced by these.
fn check(name: &str, limits: &[Limit]) -> Result<(), Error> {
    let limiters = names().get(name).map(alive).unwrap_or_default();
    let mut checked = match limits {
        [] => Err(Error::config("there has to be one")),
        _ => limits.iter().try_for_each(Limit::validate),
    };
    for limiter in &limiters {
        checked = checked.and_then(|()| limiter.check_change(limits));
    }
    checked.map_err(|error| Error::config(format!("the limit of {name} cannot be set: {error}")))
}

/// Replaces the limits of a name by these, which have been checked.
fn want(name: &str, limits: &[Limit], by_file: Option<ByFile>) -> Result<usize, Error> {
    let mut names = names();
    let named = names.entry(name.into()).or_default();
    named.wanted = Some(Wanted {
        limits: limits.into(),
        by_file,
    });
    let limiters = alive(named);
    drop(names);
    for limiter in &limiters {
        limiter.change(limits)?;
    }
    // Whoever waits may have less to wait for.
    notify_every_queue();
    Ok(limiters.len())
}

/// To be dropped after the lock on the names: the last owner of a limiter takes that lock.
fn alive(named: &Named) -> Vec<Arc<Limiter>> {
    named.limiters.iter().filter_map(Weak::upgrade).collect()
}

/// Nobody is there to be told but a log: a limit that cannot be replaced stays as it is.
fn complain(name: &str, error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: "premier", limit = name, %error, "a limit was not replaced");
    #[cfg(not(feature = "tracing"))]
    let _ = (name, error);
}

fn names() -> MutexGuard<'static, BTreeMap<Arc<str>, Named>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}
