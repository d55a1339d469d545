//! Events of the decisions of one limit.
//!
//! Clients determine how many calls are denied or fail, so each of these calls has an event at DEBUG only. At INFO
//! and WARN, one event a second states their number, and the first failure of a second has its own event.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::{Level, event};

use super::outcome::{Failure, Outcome};
use super::summaries::{self, Summary};
use crate::error::{Error, EscapedKey};
use crate::key::subject::Subject;
use crate::limit::algo::Algo;

/// A limit, as its events name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedLimit<'a> {
    pub(super) function: &'a Arc<str>,
    pub(super) algo: Algo,
    pub(super) log_keys: bool,
}

/// Emits the events of one limit.
#[derive(Debug, Default)]
pub(super) struct DecisionLog {
    /// Made for the first denial or failure.
    tally: OnceLock<Arc<Tally>>,
}

/// The decisions that no summary has reported yet.
#[derive(Debug)]
struct Tally {
    function: Arc<str>,
    algo: Algo,
    is_queued: AtomicBool,
    denied: AtomicU64,
    #[cfg(feature = "tower")]
    shadow_denied: AtomicU64,
    /// In the order of [`Failure::ALL`].
    failed: [AtomicU64; Failure::ALL.len()],
}

/// Emits an event of one decision, with its key if keys are logged.
macro_rules! decided {
    ($limit:expr, $level:expr, $key:expr, $outcome:expr $(, $field:ident = $value:expr)*) => {
        if tracing::enabled!(target: "premier", $level) {
            let decision = $outcome.as_str();
            let (function, algo) = (&**$limit.function, $limit.algo.as_str());
            match $key.filter(|_| $limit.log_keys) {
                Some(key) => key.with_text(|key| {
                    event!(target: "premier", $level, function, algo, decision, $($field = $value,)* key = %EscapedKey(key), "decided");
                }),
                None => event!(target: "premier", $level, function, algo, decision, $($field = $value,)* "decided"),
            }
        }
    };
}

impl DecisionLog {
    #[inline]
    pub(super) fn decided(
        &self,
        limit: &LoggedLimit<'_>,
        key: Option<&Subject<'_>>,
        outcome: Outcome<'_>,
    ) {
        match outcome {
            Outcome::Admitted => decided!(limit, Level::TRACE, key, outcome),
            Outcome::Denied => self.denied(limit, key, outcome, |tally| &tally.denied),
            #[cfg(feature = "tower")]
            Outcome::ShadowDenied => self.denied(limit, key, outcome, |tally| &tally.shadow_denied),
            Outcome::Failed(error) => self.failed(limit, key, outcome, error),
        }
    }

    fn denied(
        &self,
        limit: &LoggedLimit<'_>,
        key: Option<&Subject<'_>>,
        outcome: Outcome<'_>,
        count: fn(&Tally) -> &AtomicU64,
    ) {
        decided!(limit, Level::DEBUG, key, outcome);
        if tracing::enabled!(target: "premier", Level::INFO) {
            let tally = self.tally(limit);
            count(tally).fetch_add(1, Ordering::Relaxed);
            tally.queue();
        }
    }

    #[cold]
    fn failed(
        &self,
        limit: &LoggedLimit<'_>,
        key: Option<&Subject<'_>>,
        outcome: Outcome<'_>,
        error: &Error,
    ) {
        if !tracing::enabled!(target: "premier", Level::WARN) {
            return;
        }
        let failure = Failure::of(error);
        // The key has a field of its own, and only if keys are logged.
        let message = error.clone().without_key();
        let tally = self.tally(limit);
        let before = tally.failed[failure as usize].fetch_add(1, Ordering::Relaxed);
        tally.queue();
        let error = tracing::field::display(&message);
        let reason = failure.as_str();
        if before == 0 {
            decided!(
                limit,
                Level::WARN,
                key,
                outcome,
                reason = reason,
                error = error
            );
        } else {
            decided!(
                limit,
                Level::DEBUG,
                key,
                outcome,
                reason = reason,
                error = error
            );
        }
    }

    fn tally(&self, limit: &LoggedLimit<'_>) -> &Arc<Tally> {
        self.tally.get_or_init(|| {
            Arc::new(Tally {
                function: Arc::clone(limit.function),
                algo: limit.algo,
                is_queued: AtomicBool::new(false),
                denied: AtomicU64::new(0),
                #[cfg(feature = "tower")]
                shadow_denied: AtomicU64::new(0),
                failed: Default::default(),
            })
        })
    }
}

impl Tally {
    /// Has a summary emitted within a second.
    fn queue(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            summaries::queue(Arc::clone(self) as Arc<dyn Summary>);
        }
    }
}

impl Summary for Tally {
    fn emit(&self) {
        // Before the counts are taken, so that a concurrent call is in this summary or queues the next one.
        self.is_queued.store(false, Ordering::Release);
        let (function, algo) = (&*self.function, self.algo.as_str());
        let denied = [
            (Outcome::Denied, &self.denied),
            #[cfg(feature = "tower")]
            (Outcome::ShadowDenied, &self.shadow_denied),
        ];
        for (outcome, count) in denied {
            let calls = count.swap(0, Ordering::AcqRel);
            if calls > 0 {
                let decision = outcome.as_str();
                tracing::info!(target: "premier", function, algo, decision, calls, "calls denied within a second");
            }
        }
        for (failure, count) in Failure::ALL.iter().zip(&self.failed) {
            let calls = count.swap(0, Ordering::AcqRel);
            // The first one has had an event of its own.
            if calls > 1 {
                let reason = failure.as_str();
                tracing::warn!(target: "premier", function, algo, decision = "error", reason, calls, "calls failed within a second");
            }
        }
    }
}
