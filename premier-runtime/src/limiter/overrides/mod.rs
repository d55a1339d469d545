//! Limits that change while the process runs.
//!
//! A limit has the name in its errors and keys: the path of an annotated function
//! (`shop::cart:Cart::add`), or the name of a [`Throttle`](crate::Throttle). What has been consumed
//! stays consumed, and a higher rate counts from now on only.
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

use std::any::TypeId;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::algorithms::Plan;
use crate::config::runtime::Runtime;
use crate::config::scope;
use crate::error::Error;
use crate::limit::quota::Limit;
use crate::limiter::named::Limiter;
use crate::sync::lock_std;
#[cfg(feature = "tower")]
use crate::telemetry::collector;

#[cfg(feature = "limits-file")]
pub use self::file::{FileStatus, LimitChange, file_status};

/// The limits in force under a name in this process.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NamedLimit {
    /// The name by which it is [`set`].
    pub name: Arc<str>,
    /// The limits that decide; several decide as one.
    pub limits: Vec<Limit>,
}

/// Replaces the limit of a name in this process, from the next decision on.
///
/// Returns the number of limits with this name. If it is 0, the override applies to the first limit that is used
/// under this name. An override stays until it is [`reset`], even if no limit of the name is left.
///
/// On Redis every process decides by its own limits, so set the override in all processes, for example by a limits
/// file.
///
/// # Errors
/// [`Error::Config`] when the limit is out of range, or of another algorithm than the limit that it
/// replaces, whose state could not be kept. Nothing changes then.
pub fn set(name: &str, limit: Limit) -> Result<usize, Error> {
    set_all(name, &[limit])
}

/// Replaces the limits of a name that decide as one. Their number must not change.
///
/// # Errors
/// As for [`set`].
pub fn set_all(name: &str, limits: &[Limit]) -> Result<usize, Error> {
    check(name, limits)?;
    replace(name, limits, Source::Call)
}

/// Removes the override. Returns how many limits have this name.
pub fn reset(name: &str) -> usize {
    let mut names = names();
    let Some(named) = names.get_mut(name) else {
        return 0;
    };
    named.replacement = None;
    let limiters = alive(named);
    if limiters.is_empty() {
        names.remove(name);
    }
    drop(names);
    let stated = limiters.iter().map(|limiter| Arc::clone(limiter.stated()));
    change(&limiters, stated.collect());
    limiters.len()
}

/// Returns the limits that have been used and still exist, by name. Limits of annotated functions stay; a
/// [`Throttle`](crate::Throttle) is listed until its last clone is dropped.
#[must_use]
pub fn list() -> Vec<NamedLimit> {
    let named: Vec<_> = names().values().map(alive).collect();
    named
        .iter()
        .filter_map(|limiters| limiters.first())
        .map(|limiter| NamedLimit {
            name: Arc::clone(limiter.name()),
            limits: limiter.limits(),
        })
        .collect()
}

/// The limiters of a name, and its override.
#[derive(Debug, Default)]
struct Named {
    limiters: Vec<Weak<Limiter>>,
    /// How many limiters were dropped since the list was purged.
    dropped: usize,
    /// Replaces the limits in the code. Boxed, because most names have none.
    replacement: Option<Box<Override>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Override {
    limits: Box<[Limit]>,
    source: Source,
}

/// Where an override comes from. The limits file removes only overrides of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Call,
    #[cfg(feature = "limits-file")]
    File {
        /// Whether the entry leaves the algorithm to the limit that it is for.
        any_algo: bool,
    },
}

static NAMES: Mutex<BTreeMap<Arc<str>, Named>> = Mutex::new(BTreeMap::new());

/// Binds a named limit to the store of a configuration, and applies the override of its name.
///
/// # Errors
/// [`Error::Config`] when the configuration cannot be used.
pub(crate) fn bind(
    runtime: &Runtime,
    name: Arc<str>,
    plans: Arc<[Plan]>,
) -> Result<Arc<Limiter>, Error> {
    let limiter = Limiter::new(runtime, name, plans, remove_dropped)?;
    register(&limiter);
    limiter.register_metrics();
    Ok(limiter)
}

/// A limiter of this name.
#[cfg(feature = "axum")]
pub(crate) fn limiter(name: &str) -> Option<Arc<Limiter>> {
    let names = names();
    names.get(name)?.limiters.iter().find_map(Weak::upgrade)
}

/// All limiters of this process.
#[cfg(feature = "dashboard")]
pub(crate) fn limiters() -> Vec<Arc<Limiter>> {
    names().values().flat_map(alive).collect()
}

/// Lets all limits of the process, and all that are bound later, look for a collector of decisions.
#[cfg(feature = "tower")]
pub(crate) fn enable_collecting() {
    collector::enable();
    // Without the limits of a scope, which have no fast path.
    let names = lock_std(&NAMES);
    let limiters: Vec<_> = names.values().flat_map(alive).collect();
    drop(names);
    for limiter in limiters {
        limiter.look_for_collector();
    }
}

fn register(limiter: &Arc<Limiter>) {
    let mut names = names();
    let named = names.entry(Arc::clone(limiter.name())).or_default();
    if named.limiters.is_empty() {
        // Most names have one limiter, and there may be many names.
        named.limiters.reserve_exact(1);
    }
    named.limiters.push(Arc::downgrade(limiter));
    let replacement = named.replacement.clone();
    drop(names);
    #[cfg(feature = "tower")]
    if collector::is_enabled() {
        // Collecting may have been enabled after the limiter was created and before it was listed.
        limiter.look_for_collector();
    }
    let Some(replacement) = replacement else {
        return;
    };
    let Override { mut limits, source } = *replacement;
    let takes_any_algo = match source {
        Source::Call => false,
        #[cfg(feature = "limits-file")]
        Source::File { any_algo } => any_algo,
    };
    let stated = limiter.limits().first().map(Limit::algo);
    if let (true, Some(algo)) = (takes_any_algo, stated) {
        for limit in &mut limits {
            *limit = limit.with_algo(algo);
        }
    }
    match limiter.replacement(&limits) {
        Ok(plans) => limiter.replace(plans),
        Err(error) => log_failure(limiter.name(), &error),
    }
}

/// Removes the dropped limiters of a name once they are half of them, and the name with the last one.
/// An override stays for the next limiter of the name.
fn remove_dropped(name: &str) {
    let mut names = names();
    let Some(named) = names.get_mut(name) else {
        return;
    };
    named.dropped += 1;
    if named.dropped * 2 < named.limiters.len() {
        return;
    }
    named.dropped = 0;
    named.limiters.retain(|limiter| limiter.strong_count() > 0);
    if named.limiters.is_empty() && named.replacement.is_none() {
        names.remove(name);
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
        checked = checked.and_then(|()| limiter.replacement(limits).map(drop));
    }
    checked.map_err(|error| Error::config(format!("the limit of {name} cannot be set: {error}")))
}

/// Replaces the limits of a name by these, which have been checked.
fn replace(name: &str, limits: &[Limit], source: Source) -> Result<usize, Error> {
    let mut names = names();
    let named = names.entry(name.into()).or_default();
    named.replacement = Some(Box::new(Override {
        limits: limits.into(),
        source,
    }));
    let limiters = alive(named);
    drop(names);
    let plans: Result<_, _> = limiters
        .iter()
        .map(|limiter| limiter.replacement(limits))
        .collect();
    change(&limiters, plans?);
    Ok(limiters.len())
}

/// Replaces the limits of each limiter. Waiters give back the slots of the old limits before any call decides by the
/// new ones, and ask again: their wait may become shorter.
pub(super) fn change(limiters: &[Arc<Limiter>], plans: Vec<Arc<[Plan]>>) {
    let mut changes: Vec<_> = limiters.iter().zip(plans).collect();
    changes.retain(|(limiter, plans)| *limiter.plans() != **plans);
    let slots: Vec<_> = changes
        .iter()
        .map(|(limiter, _)| limiter.hold_slots())
        .collect();
    for (limiter, plans) in &changes {
        limiter.replace(Arc::clone(plans));
    }
    // For callers that have asked by the old limits meanwhile, and waiters without slots.
    changes.iter().for_each(|(limiter, _)| limiter.ask_again());
    drop(slots);
}

fn alive(named: &Named) -> Vec<Arc<Limiter>> {
    named.limiters.iter().filter_map(Weak::upgrade).collect()
}

/// Reports an override that cannot replace a limit, which stays as it is.
fn log_failure(name: &str, error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: "premier", limit = name, %error, "a limit was not replaced");
    #[cfg(not(feature = "tracing"))]
    let _ = (name, error);
}

type Names = Mutex<BTreeMap<Arc<str>, Named>>;

fn names_of_scope() -> Option<&'static Names> {
    let key = (std::ptr::from_ref(&NAMES).addr(), TypeId::of::<Names>());
    let made = scope::current()?.value(key, || Ok::<Names, Infallible>(Mutex::default()));
    let Ok((names, _)) = made;
    Some(names)
}

fn names() -> MutexGuard<'static, BTreeMap<Arc<str>, Named>> {
    lock_std(names_of_scope().unwrap_or(&NAMES))
}
