//! Collects the decisions about a request, from which the headers of its response are made.
//!
//! A layer collects on its thread while it polls a request, so the decisions belong to that request. Meanwhile
//! limits do not use their fast path, because it computes no numbers.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::algorithms::Plan;
use crate::limit::decision::Decision;

/// Whether decisions have ever been collected in this process.
static IS_USED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The innermost collector of this thread.
    static CURRENT: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

/// Makes limits look for a collector from now on.
pub(crate) fn enable() {
    IS_USED.store(true, Ordering::SeqCst);
}

/// Whether there may be a collector on any thread.
#[inline]
pub(crate) fn is_enabled() -> bool {
    IS_USED.load(Ordering::SeqCst)
}

/// Whether decisions are collected on this thread.
pub(crate) fn is_open() -> bool {
    is_enabled() && CURRENT.with_borrow(Option::is_some)
}

/// Collects a decision, if decisions are collected on this thread.
pub(crate) fn collect(decided: Collected) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(collector) = current {
            collector.add(decided);
        }
    });
}

/// The tightest of the decisions about a request.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    tightest: Option<Collected>,
}

/// A decision with the limit that has made it.
#[derive(Debug)]
pub(crate) struct Collected {
    /// The name of the limit and the limits in force.
    pub(crate) name: Arc<str>,
    pub(crate) plans: Arc<[Plan]>,
    /// `None` for a denial if it is not known which of several limits denies.
    pub(crate) decision: Option<Decision>,
}

impl Collector {
    /// Collects the decisions of this thread during `poll`. Afterwards the outer collector is in use again.
    pub(crate) fn during<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        let outer = CURRENT.replace(Some(mem::take(self)));
        // Restored also if `poll` panics.
        let _restore = Restore {
            collector: self,
            outer,
        };
        poll()
    }

    pub(crate) fn into_tightest(self) -> Option<Collected> {
        self.tightest
    }

    fn add(&mut self, decided: Collected) {
        let kept = self.tightest.as_ref();
        if kept.is_none_or(|kept| decided.tightness() < kept.tightness()) {
            self.tightest = Some(decided);
        }
    }
}

impl Collected {
    /// Orders decisions, the tightest first: a denial, then the fewest units left, of equal ones for the longest
    /// time.
    fn tightness(&self) -> impl Ord + use<> {
        let decision = self.decision.as_ref();
        decision.map(|decision| {
            let more_after = Reverse(decision.more_after);
            (decision.allowed, decision.remaining, more_after)
        })
    }
}

struct Restore<'a> {
    collector: &'a mut Collector,
    outer: Option<Collector>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        let collected = CURRENT.replace(self.outer.take());
        *self.collector = collected.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn nothing_is_collected_after_a_panic() {
        enable();
        let mut collector = Collector::default();
        let poll = || collector.during(|| panic!("of the handler"));
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        assert!(!is_open());
    }

    #[test]
    fn a_collector_inside_of_another_has_what_is_decided_in_it() {
        enable();
        let collected = |remaining| Collected {
            name: "limit".into(),
            plans: [].into(),
            decision: Some(Decision {
                remaining,
                ..Decision::new(10)
            }),
        };
        let remaining = |collector: Collector| Some(collector.into_tightest()?.decision?.remaining);
        let (mut outer, mut inner) = (Collector::default(), Collector::default());
        outer.during(|| {
            collect(collected(5));
            inner.during(|| collect(collected(3)));
            collect(collected(7));
        });
        assert_eq!((remaining(outer), remaining(inner)), (Some(5), Some(3)));
    }
}
