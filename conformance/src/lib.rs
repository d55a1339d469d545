//! The conformance suite for stores of [`premier`]: whether a [`Handler`] decides as all others do.
//!
//! A store outside of premier depends on this crate in its tests, and runs [`check`] with a function that
//! creates its handler:
//!
//! ```
//! use premier::MemoryHandler;
//!
//! // In the store's tests:
//! premier_conformance::check(|clock| MemoryHandler::builder().clock(clock).build());
//! ```
//!
//! The handler must tell the time by the [`ManualClock`] that the function is given, because the suite goes
//! through days of it, and its [`Handler::clock`] may return it. A store whose server has a clock of its own
//! needs such an option for tests. [`Suite`] has the options: a store that counts microseconds sets its
//! [resolution](Suite::resolution).
//!
//! What is checked:
//! - decisions: 59 sequences of 60 calls, computed in exact arithmetic (`data/sequences.jsonl`), and random
//!   operations, compared with [`Request::apply`](premier::Request::apply);
//! - operations: peek, charge, refund, release, reserve and reset, for every algorithm, and several limits at once;
//! - keys: any text, each apart from the others; [`Handler::clear`] removes one keyspace and nothing else;
//! - threads: together they never take more than a limit admits; [`Handler::take_all`] takes from all keys
//!   or from none; the async methods decide as the others;
//! - expiry: a key is as if it had never been used after [`reset_after`](premier::Decision::reset_after);
//! - with the feature `cache`, the values of a store that [has some](Handler::values), and that no value is saved
//!   whose [token](premier::cache::LoadToken) is no longer valid, if the store has tokens.
//!
//! Each check has a handler of its own. Handlers may share a server: every check uses other keys, all of
//! them in keyspaces that begin with `premier-conformance`, which are cleared before.

mod case;
mod charges;
mod clearing;
mod keys;
mod operations;
mod random;
mod sequences;
mod several;
mod threads;
#[cfg(feature = "cache")]
mod values;
mod waiting;

use std::fmt;
use std::time::Duration;

use premier::Handler;
use premier::clock::ManualClock;

use crate::case::Case;

/// A check with its name.
type Check = (&'static str, fn(&Case<'_>) -> Result<(), String>);

/// Checks a handler that keeps times in nanoseconds, as [`Suite::run`] does without options.
///
/// # Panics
/// When the handler does not conform. The message names all checks that failed, and at which step.
///
/// ```
/// use premier::MemoryHandler;
///
/// premier_conformance::check(|clock| MemoryHandler::builder().clock(clock).build());
/// ```
pub fn check<H: Handler>(handler: impl Fn(ManualClock) -> H) {
    Suite::new(handler).run();
}

/// The suite with options.
///
/// ```
/// use premier::MemoryHandler;
/// use premier_conformance::Suite;
/// use std::time::Duration;
///
/// let compared = Suite::new(|clock| MemoryHandler::builder().clock(clock).build())
///     .resolution(Duration::from_micros(1))
///     .run();
/// assert_eq!(compared, 59 * 60);
/// ```
#[derive(Clone)]
pub struct Suite<F> {
    handler: F,
    resolution: Duration,
}

impl<H: Handler, F: Fn(ManualClock) -> H> Suite<F> {
    /// Creates the suite. `handler` is called once for each check and each sequence, with the clock that the
    /// handler must use.
    pub fn new(handler: F) -> Self {
        Self {
            handler,
            resolution: Duration::from_nanos(1),
        }
    }

    /// Sets by how much `retry_after`, `reset_after` and `delay` may be too long: by less than this. They
    /// must never be too short. Default: a nanosecond, so that they have to be exact.
    #[must_use]
    pub fn resolution(mut self, resolution: Duration) -> Self {
        self.resolution = resolution;
        self
    }

    /// Runs all checks. Returns how many calls of the sequences were compared.
    ///
    /// # Panics
    /// When the handler does not conform. The message names all checks that failed, and at which step.
    pub fn run(&self) -> usize {
        let mut failures = Vec::new();
        for (name, check) in self.checks() {
            let clock = ManualClock::new();
            // Not at the origin, so that earlier times differ from zero.
            clock.set(Duration::from_secs(1_000_000));
            let handler = (self.handler)(clock.clone());
            let case = Case::new(&handler, &clock, self.resolution, name);
            if let Err(failure) = case.clear().and_then(|()| check(&case)) {
                failures.push(format!("{name}: {failure}"));
            }
        }
        let (compared, different) = sequences::replay(self.resolution, &self.handler);
        failures.extend(different);
        assert!(
            failures.is_empty(),
            "the handler does not conform, {} failures:\n{}",
            failures.len(),
            failures.join("\n")
        );
        compared
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        checks.extend(operations::CHECKS);
        checks.extend(charges::CHECKS);
        checks.extend(several::CHECKS);
        checks.extend(waiting::CHECKS);
        checks.extend(keys::CHECKS);
        checks.extend(clearing::CHECKS);
        checks.extend(threads::CHECKS);
        checks.extend(random::CHECKS);
        #[cfg(feature = "cache")]
        checks.extend(values::CHECKS);
        checks
    }
}

impl<F> fmt::Debug for Suite<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Suite")
            .field("resolution", &self.resolution)
            .finish_non_exhaustive()
    }
}
