//! Calls on their way to the server and back.

use super::denials::{Denials, KeyId, Snapshot};
use super::few::Few;
use super::keys::redis_keys;
use super::leases::Unused;
use crate::algorithms::Plan;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};

/// Requests that are decided as one, without borrows from the caller.
pub(super) struct Check {
    /// The keys of all limits of all requests, in their order.
    pub(super) keys: Few<String>,
    pub(super) requests: Few<KeyRequest>,
    /// The time of the clock set by the user in microseconds, if there is one.
    pub(super) now: Option<u64>,
    /// The key of each request.
    pub(super) ids: Few<KeyId>,
    /// When a single request was asked, for its denial; see [`Denials`](super::denials::Denials).
    pub(super) snapshot: Option<Snapshot>,
    /// Set if units are leased, one by one, as far as there are any.
    pub(super) fetch: Option<Fetch>,
}

/// Units to lease.
#[derive(Clone, Copy)]
pub(super) struct Fetch {
    pub(super) units: u64,
    /// When the request was made.
    pub(super) asked_at: u64,
}

/// The operation of one request, and its limits.
#[derive(Clone, PartialEq)]
pub(super) struct KeyRequest {
    pub(super) plans: Few<Plan>,
    pub(super) operation: Operation,
}

impl Check {
    /// Prepares requests that are decided as one. `now` is the time of the clock set by the user in nanoseconds. For
    /// `hash_keys` see [`redis_keys`].
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`].
    pub(super) fn new(
        requests: &[Request<'_>],
        denials: &Denials,
        now: Option<u64>,
        hash_keys: bool,
    ) -> Result<Self, Error> {
        for request in requests {
            if let Operation::Take(cost) | Operation::Reserve { cost, .. } | Operation::Peek(cost) =
                request.operation
            {
                request.check_cost(cost)?;
            }
        }
        let owned = |request: &Request<'_>| KeyRequest {
            plans: Few::of(request.plans),
            operation: request.operation,
        };
        let keys = |request: &Request<'_>| redis_keys(&request.key, request.plans, hash_keys);
        let all_keys = match requests {
            [request] => keys(request),
            _ => requests
                .iter()
                .flat_map(|request| keys(request).into_vec())
                .collect(),
        };
        let ids = requests.iter().map(|request| denials.id(&request.key));
        let owned = requests.iter().map(owned).collect();
        Ok(Self::of(all_keys, owned, ids.collect(), now))
    }

    /// A request that refunds units.
    pub(super) fn of_unused(unused: Unused, now: Option<u64>) -> Self {
        let refund = KeyRequest {
            plans: Few::One(unused.plan),
            operation: unused.operation,
        };
        let (keys, ids) = (Few::One(unused.redis_key), Few::One(unused.key));
        Self::of(keys, Few::One(refund), ids, now)
    }

    fn of(keys: Few<String>, requests: Few<KeyRequest>, ids: Few<KeyId>, now: Option<u64>) -> Self {
        Self {
            keys,
            requests,
            now: now.map(|now| now / 1_000),
            ids,
            snapshot: None,
            fetch: None,
        }
    }

    /// Whether the call may free units for other calls.
    pub(super) fn may_refund(&self) -> bool {
        self.requests.iter().any(|request| match request.operation {
            Operation::Take(_)
            | Operation::Reserve { .. }
            | Operation::Peek(_)
            | Operation::Charge { .. } => false,
            Operation::Reset | Operation::Refund(_) | Operation::Release(..) => true,
        })
    }

    /// The calls that release the units of these decisions. `now` is the time of the clock set by the user in
    /// nanoseconds, which may have moved on since the decisions.
    pub(super) fn releases(&self, decisions: &[Decision], now: Option<u64>) -> Vec<Self> {
        if !decisions.iter().all(|decision| decision.allowed) {
            return Vec::new();
        }
        let mut keys = self.keys.iter();
        let requests = self.requests.iter().zip(self.ids.iter());
        requests
            .zip(decisions)
            .filter_map(|((request, id), decision)| {
                let keys = keys.by_ref().take(request.plans.len()).cloned().collect();
                let release = KeyRequest {
                    operation: request.operation.release(decision)?,
                    ..request.clone()
                };
                Some(Self::of(keys, Few::One(release), Few::One(*id), now))
            })
            .collect()
    }

    /// The limits with their operations, in the order of the keys.
    pub(super) fn limits(&self) -> impl Iterator<Item = (&Plan, Operation)> {
        self.requests
            .iter()
            .flat_map(|request| request.plans.iter().map(|plan| (plan, request.operation)))
    }
}
