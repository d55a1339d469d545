//! Fetching the units of leases, and refunding unused ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::answer::{Caller, Sender};
use super::check::{Check, Fetch};
use super::kind::Kind;
use super::lean::Answered;
use super::leases::Unused;
use super::outbox::Outbox;

const BETWEEN_SWEEPS: Duration = Duration::from_millis(100);

impl Outbox {
    /// Fetches units for a lease, unless they are being fetched.
    pub(super) fn fetch(self: &Arc<Self>, mut check: Check, units: u64, asked_at: u64) {
        let (Some(redis_key), [key]) = (check.keys.first(), &*check.ids) else {
            return;
        };
        let Some((plan, _)) = check.limits().next() else {
            return;
        };
        if Kind::of(&check).is_some() && self.leases.begin(*key, redis_key, plan, units, asked_at) {
            check.fetch = Some(Fetch { units, asked_at });
            self.push(Box::new(check), Caller::Nobody);
        }
    }

    /// Stores units that were fetched.
    pub(super) fn fetched(self: &Arc<Self>, check: &Check, answered: Option<Answered>) {
        let ([key], Some(fetch), Some((plan, _))) =
            (&*check.ids, check.fetch, check.limits().next())
        else {
            return;
        };
        let now = self.now();
        let Some(answered) = answered else {
            self.leases.fail(*key, now);
            return;
        };
        let decision = answered.decisions.first().copied().unwrap_or_default();
        let unused = self.leases.add(
            *key,
            plan,
            (answered.fetched, decision),
            answered.state,
            fetch.asked_at,
        );
        if let (Some(operation), Some(redis_key)) = (unused, check.keys.first()) {
            self.give_back(Unused {
                key: *key,
                redis_key: redis_key.clone(),
                plan: *plan,
                operation,
            });
        }
    }

    fn give_back(self: &Arc<Self>, unused: Unused) {
        let check = Check::of_unused(unused, self.user_time());
        self.push(Box::new(check), Caller::Nobody);
    }

    /// Refunds unused leased units: all of them, or those of idle keys. Returns whether some are left.
    pub(super) fn give_back_unused(self: &Arc<Self>, all: bool) -> bool {
        let (unused, are_left) = self.leases.take_idle(self.now(), all, self.timeout);
        unused.into_iter().for_each(|unused| self.give_back(unused));
        are_left
    }

    /// Refunds unused leased units now and then, until no units are leased.
    pub(super) async fn sweep(self: Arc<Self>) {
        loop {
            sleep(BETWEEN_SWEEPS).await;
            if !self.give_back_unused(false) && self.needs_no_sweeper() {
                return;
            }
        }
    }
}
