//! Requests that are charged by their response.
//!
//! A request takes its units before the service is called, and is refunded if its response is not charged. Until
//! then it is pending: whether its units count is not known. A request that finds the limit used up waits for the
//! pending requests of its key before it is denied.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{Sleep, SteadyClock, after};
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::limiter::counted_wait::CountedWait;
use crate::limiter::named::Limiter;

/// The `Retry-After` of a request that was denied while others are pending.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// The pending requests of a layer, by key.
#[derive(Debug, Default)]
pub(super) struct Outcomes(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    keys: HashMap<Option<Box<str>>, KeyOutcomes>,
    /// How many requests were refunded, under any key.
    refunds: u64,
    /// The number of the last waiter.
    last_waiter: u64,
}

#[derive(Debug)]
struct KeyOutcomes {
    /// How many requests are pending.
    pending: usize,
    /// [`Keys::refunds`] after the last refund of this key, or when its first request began.
    refunded: u64,
    /// The numbers of the requests that wait for a change, with their wakers.
    waiting: Vec<(u64, Waker)>,
}

/// A pending request. If it is dropped, the units that it has taken stay taken.
#[derive(Debug)]
pub(super) struct Pending {
    outcomes: Arc<Outcomes>,
    key: Option<Box<str>>,
    /// [`Keys::refunds`] before the request was decided.
    seen: u64,
    is_settled: bool,
}

/// A request that was denied while others of its key are pending.
#[derive(Debug)]
pub(super) struct Waiter {
    outcomes: Arc<Outcomes>,
    key: Option<Box<str>>,
    seen: u64,
    number: u64,
}

/// Why a waiter is woken.
enum Change {
    /// Units may have been refunded.
    Refund,
    /// No request is pending any more, and none was refunded.
    Nothing,
}

/// A request before its verdict.
pub(super) enum Progress {
    /// It has not been decided.
    Pending(Pending),
    /// It is denied, unless another request is refunded.
    Denied(Result<Decision, Error>, Waiter),
    /// It is decided. The pending request is there if it has taken units.
    Decided(Result<Decision, Error>, Option<Pending>),
}

/// Returns the state of a request after a decision.
pub(super) fn settled(pending: Pending, decided: Result<Decision, Error>) -> Progress {
    if !is_denied(&decided) {
        let has_taken = decided.is_ok();
        return Progress::Decided(decided, has_taken.then_some(pending));
    }
    match pending.wait() {
        Some(waiter) => Progress::Denied(decided, waiter),
        None => Progress::Decided(decided, None),
    }
}

/// Whether a limit denies a request, so that a refund may admit it.
pub(super) const fn is_denied(decided: &Result<Decision, Error>) -> bool {
    match decided {
        Ok(decision) => !decision.allowed,
        Err(Error::QuotaExceeded { .. } | Error::BucketFull { .. }) => true,
        Err(_) => false,
    }
}

/// The wait of one request for the outcomes of others.
pub(super) struct OutcomeWait<'a> {
    limiter: &'a Limiter,
    longest: Duration,
    /// At most this many requests wait.
    calls: Option<u64>,
    /// Set once the request waits.
    deadline: Option<Sleep>,
    guard: Option<CountedWait<'a>>,
}

impl<'a> OutcomeWait<'a> {
    pub(super) const fn new(limiter: &'a Limiter, longest: Duration, calls: Option<u64>) -> Self {
        Self {
            limiter,
            longest,
            calls,
            deadline: None,
            guard: None,
        }
    }

    /// Waits until the request may be decided again. It stays denied if no other request is refunded in time.
    pub(super) async fn after(
        &mut self,
        mut waiter: Waiter,
        denied: Result<Decision, Error>,
    ) -> Progress {
        if self.guard.is_none() {
            self.guard = CountedWait::new(self.limiter, self.calls);
        }
        if self.guard.is_none() {
            return self.denied_within(denied, RETRY_SOON);
        }
        let began = self.limiter.clock().now();
        let deadline = self.deadline.get_or_insert_with(|| {
            // Responses come in real time, whatever the clock of the limits.
            let clock = SteadyClock::default();
            clock.sleep_until(after(clock.now(), self.longest))
        });
        let change = poll_fn(|context| {
            if let Poll::Ready(change) = waiter.poll(context) {
                return Poll::Ready(Some(change));
            }
            Pin::new(&mut *deadline).poll(context).map(|()| None)
        })
        .await;
        match change {
            None => self.denied_within(denied, RETRY_SOON),
            Some(Change::Refund) => waiter.ask_again(),
            Some(Change::Nothing) => {
                let waited = self.limiter.clock().now().saturating_sub(began);
                let left = retry_after(&denied).saturating_sub(Duration::from_nanos(waited));
                match left.is_zero() {
                    true => waiter.ask_again(),
                    false => self.denied_within(denied, left),
                }
            }
        }
    }

    /// Returns the denial with a `retry_after` of at most `longest`.
    fn denied_within(&self, denied: Result<Decision, Error>, longest: Duration) -> Progress {
        let retry_after = retry_after(&denied).min(longest);
        let denied = match denied {
            Ok(decision) => Ok(Decision {
                more_after: decision.more_after.min(retry_after),
                retry_after,
                ..decision
            }),
            Err(_) => Err(self.limiter.denied(None, retry_after)),
        };
        Progress::Decided(denied, None)
    }
}

fn retry_after(denied: &Result<Decision, Error>) -> Duration {
    match denied {
        Ok(decision) => decision.retry_after,
        Err(error) => error.retry_after().unwrap_or_default(),
    }
}

impl Outcomes {
    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Begins a request. Call this before its decision.
    pub(super) fn begin(outcomes: &Arc<Outcomes>, key: Option<&str>) -> Self {
        let key: Option<Box<str>> = key.map(Into::into);
        let mut keys = outcomes.lock();
        let seen = keys.refunds;
        let of_key = keys.keys.entry(key.clone()).or_insert(KeyOutcomes {
            pending: 0,
            refunded: seen,
            waiting: Vec::new(),
        });
        of_key.pending += 1;
        drop(keys);
        Self {
            outcomes: Arc::clone(outcomes),
            key,
            seen,
            is_settled: false,
        }
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Ends a request that was refunded.
    pub(super) fn refunded(mut self) {
        self.settle(true);
    }

    /// Ends a request that was denied. `None` if the denial is final: no other request of its key is pending, and
    /// none was refunded since it began.
    pub(super) fn wait(mut self) -> Option<Waiter> {
        let (may_be_admitted, number) = self.settle(false);
        may_be_admitted.then(|| Waiter {
            outcomes: Arc::clone(&self.outcomes),
            key: self.key.take(),
            seen: self.seen,
            number,
        })
    }

    /// Ends the request. Returns whether it may be admitted if it was denied, and the number of its waiter.
    fn settle(&mut self, is_refunded: bool) -> (bool, u64) {
        self.is_settled = true;
        let mut keys = self.outcomes.lock();
        keys.last_waiter += 1;
        let number = keys.last_waiter;
        keys.refunds += u64::from(is_refunded);
        let refunds = keys.refunds;
        let Some(of_key) = keys.keys.get_mut(&self.key) else {
            return (false, number);
        };
        of_key.pending -= 1;
        if is_refunded {
            of_key.refunded = refunds;
        }
        let is_last = of_key.pending == 0;
        let may_be_admitted = !is_last || of_key.refunded > self.seen;
        let woken = match is_refunded || is_last {
            true => mem::take(&mut of_key.waiting),
            false => Vec::new(),
        };
        if is_last {
            keys.keys.remove(&self.key);
        }
        // Waking runs code of the executor.
        drop(keys);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        (may_be_admitted, number)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_settled {
            self.settle(false);
        }
    }
}

impl Waiter {
    fn ask_again(&self) -> Progress {
        Progress::Pending(Pending::begin(&self.outcomes, self.key.as_deref()))
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Change> {
        let waker = context.waker().clone();
        let mut keys = self.outcomes.lock();
        let refunds = keys.refunds;
        let Some(of_key) = keys.keys.get_mut(&self.key) else {
            // The refund may have been one of another key.
            return Poll::Ready(match refunds > self.seen {
                true => Change::Refund,
                false => Change::Nothing,
            });
        };
        if of_key.refunded > self.seen {
            return Poll::Ready(Change::Refund);
        }
        let waiting = &mut of_key.waiting;
        let old = match waiting
            .iter_mut()
            .find(|(number, _)| *number == self.number)
        {
            Some((_, known)) => Some(mem::replace(known, waker)),
            None => {
                waiting.push((self.number, waker));
                None
            }
        };
        // Dropping a waker may run code of the executor.
        drop(keys);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut keys = self.outcomes.lock();
        let waiting = keys.keys.get_mut(&self.key);
        let removed = waiting.and_then(|of_key| {
            let waiting = &mut of_key.waiting;
            let index = waiting
                .iter()
                .position(|(number, _)| *number == self.number)?;
            Some(waiting.swap_remove(index))
        });
        drop(keys);
        drop(removed);
    }
}
