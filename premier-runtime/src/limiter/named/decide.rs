//! Decisions about calls: by the fast path, or by the store.

use std::sync::Arc;
use std::time::Duration;

use super::{Asking, Decided, Limiter};
use crate::algorithms::{Answer, Plan};
use crate::config::scope;
use crate::error::Error;
use crate::key::subject::{Subject, with_text};
use crate::limit::decision::Decision;
use crate::limiter::max_wait::{MaxWait, WaitTime};
use crate::store::request::{BoxFuture, Operation};
use crate::sync_future::SyncFuture;

impl Limiter {
    /// The operation that takes `cost` for a call with this maximum wait.
    pub(crate) fn operation(&self, cost: u64, max_wait: MaxWait) -> Operation {
        let longest = match max_wait.time {
            WaitTime::AtMost(longest) => longest,
            WaitTime::Unbounded => Duration::MAX,
            WaitTime::None => return Operation::Take(cost),
        };
        match self.is_bucket && self.may_wait_too(max_wait) {
            true => Operation::Reserve { cost, longest },
            false => Operation::Take(cost),
        }
    }

    /// Decides about a call on the fast path; `None` where the store has to be asked. Also `None` for a
    /// caller that may wait while others wait, so that it does not overtake them.
    // Inlined, because each caller knows whether there is a key and which part of the answer it needs.
    #[inline(always)]
    pub(crate) fn try_take<A: Answer>(
        &self,
        key: Option<&Subject<'_>>,
        cost: u64,
        max_wait: MaxWait,
    ) -> Option<A> {
        if scope::current().is_some() {
            // A scope may let the limit refuse calls.
            return None;
        }
        let fast_path = self.fast_path.as_ref()?;
        // The first call that may wait makes the queues, on the slow path.
        let has_no_waiter = || self.queues.get().is_some_and(|queues| queues.is_empty());
        if max_wait.may_wait() && !has_no_waiter() {
            return None;
        }
        fast_path.try_take(key, cost)
    }

    /// Decides about a call that does not wait, and takes its cost if it is admitted.
    ///
    /// # Errors
    /// When the store cannot decide, and for a cost that no time can admit.
    #[inline]
    pub(crate) fn take(&self, key: Option<&Subject<'_>>, cost: u64) -> Result<Decision, Error> {
        match self.try_take(key, cost, MaxWait::NONE) {
            Some(decision) => Ok(decision),
            None => with_text(key, |key| self.handle(key, Operation::Take(cost))),
        }
    }

    /// As [`Limiter::take`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(crate) async fn take_async(&self, key: Option<&str>, cost: u64) -> Result<Decision, Error> {
        if self.is_immediate() {
            self.take(key.map(Subject::Text).as_ref(), cost)
        } else {
            self.handle_async(key, Operation::Take(cost)).await
        }
    }

    /// Decides about a call that may wait, and takes its cost if it is admitted; `None` where deciding may block.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(crate) fn acquire_at_once(
        &self,
        key: Option<&str>,
        cost: u64,
        max_wait: MaxWait,
    ) -> Result<Option<Decided>, Error> {
        if !self.is_immediate() {
            return Ok(None);
        }
        let operation = self.operation(cost, max_wait);
        let max_wait = match operation {
            Operation::Take(_) => MaxWait::NONE,
            _ => max_wait,
        };
        let fast = self.try_take(key.map(Subject::Text).as_ref(), cost, max_wait);
        // A bucket that denies a call now may have a slot for a call that waits.
        if let Some(decision @ Decision { allowed, .. }) = fast
            && (allowed || !max_wait.may_wait())
        {
            return Ok(Some((decision, None)));
        }
        let plans = self.plans();
        let decision = self.handle_by(&plans, key, operation)?;
        Ok(Some((decision, Some(plans))))
    }

    /// Carries an operation out, blocking the thread where the store does.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(crate) fn handle(
        &self,
        key: Option<&str>,
        operation: Operation,
    ) -> Result<Decision, Error> {
        self.handle_by(&self.plans(), key, operation)
    }

    /// As [`Limiter::handle`], by `plans`.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(in crate::limiter) fn handle_by(
        &self,
        plans: &[Plan],
        key: Option<&str>,
        operation: Operation,
    ) -> Result<Decision, Error> {
        if let Some(denied) = self.denied_by_test(operation) {
            return Ok(denied);
        }
        let request = self.request(key, plans, operation);
        self.store
            .handle(&request)
            .map_err(|error| error.at(&self.name, key))
    }

    /// The denial of a call of cost 1, if this process knows that it would be denied now.
    #[cfg(feature = "axum")]
    pub(crate) fn known_denial(&self, key: Option<&str>) -> Option<Decision> {
        let operation = Operation::Peek(1);
        self.denied_by_test(operation).or_else(|| {
            let plans = self.plans();
            self.store
                .known_denial(&self.request(key, &plans, operation))
        })
    }

    /// As [`Limiter::handle`], without blocking the thread.
    pub(crate) fn handle_async<'a>(
        &'a self,
        key: Option<&'a str>,
        operation: Operation,
    ) -> Asking<'a> {
        self.handle_async_by(self.plans(), key, operation)
    }

    /// As [`Limiter::handle_async`], by `plans`.
    pub(in crate::limiter) fn handle_async_by<'a>(
        &'a self,
        plans: Arc<[Plan]>,
        key: Option<&'a str>,
        operation: Operation,
    ) -> Asking<'a> {
        let decided =
            |decided| SyncFuture::new(Box::pin(std::future::ready(decided)) as BoxFuture<_>);
        if self.is_immediate() {
            return decided(self.handle_by(&plans, key, operation));
        }
        if let Some(denied) = self.denied_by_test(operation) {
            return decided(Ok(denied));
        }
        let request = self.request(key, &plans, operation);
        if let Some(decision) = self.store.decide_locally(&request) {
            return decided(Ok(decision));
        }
        SyncFuture::new(Box::pin(async move {
            let request = self.request(key, &plans, operation);
            let decided = self.store.handle_async(request).await;
            decided.map_err(|error| error.at(&self.name, key))
        }))
    }

    /// The denial of a call of a limit that the scope of a test lets refuse calls.
    fn denied_by_test(&self, operation: Operation) -> Option<Decision> {
        let asks = matches!(
            operation,
            Operation::Take(_) | Operation::Reserve { .. } | Operation::Peek(_)
        );
        if !asks || !scope::current()?.refuses(&self.name) {
            return None;
        }
        let plans = self.plans();
        Some(Decision {
            allowed: false,
            retry_after: Duration::from_secs(1),
            ..plans.first().map(Plan::decision).unwrap_or_default()
        })
    }

    /// Checks that a call of this cost can be admitted at some time.
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`].
    pub(crate) fn check_cost(&self, key: Option<&str>, cost: u64) -> Result<(), Error> {
        self.request(key, &self.plans(), Operation::Peek(cost))
            .check_cost(cost)
            .map_err(|error| error.at(&self.name, key))
    }

    /// Whether one more call may wait.
    pub(super) fn may_wait_too(&self, max_wait: MaxWait) -> bool {
        max_wait.calls.is_none() || self.queues().count().has_room(max_wait.calls)
    }
}
