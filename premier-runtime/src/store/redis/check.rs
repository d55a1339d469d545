//! Calls on their way to the server and back.

use tokio::sync::oneshot;

use super::answer::Answer;
use super::denials::{Denials, KeyId, Question};
use super::few::Few;
use super::keys::redis_keys;
use crate::algorithms::Plan;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};

/// Requests that are decided as one, without what borrows from the caller.
pub(super) struct Check {
    /// The keys of all limits of all requests, in their order.
    pub(super) keys: Few<String>,
    pub(super) asked: Few<Asked>,
    /// The time of the user's clock in microseconds, if there is one.
    pub(super) now: Option<u64>,
    /// The key of each request.
    pub(super) ids: Few<KeyId>,
    /// What was known about the key of a single request.
    pub(super) question: Option<Question>,
}

/// Who asks.
pub(super) enum Caller {
    /// Nobody wants to know the decisions.
    Nobody,
    /// Waits for the decisions until this time, in nanoseconds of [`real_now`](crate::clock::real_now).
    Waits(oneshot::Sender<Answer>, u64),
    /// Has been told that there was no answer in time.
    Gone,
}

impl Caller {
    /// Whether a call that has not been sent need not be.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Waits(caller, _) => caller.is_closed(),
            Self::Gone => true,
        }
    }

    /// Tells the caller, if it waits.
    pub(super) fn tell(self, answer: Answer) {
        if let Self::Waits(caller, _) = self {
            let _ = caller.send(answer);
        }
    }
}

/// What is asked of the limits of one request.
#[derive(Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) plans: Few<Plan>,
    pub(super) operation: Operation,
}

impl Check {
    /// Prepares requests that are decided as one. `now` is the time of the user's clock in nanoseconds. For
    /// `hash_keys` see [`redis_keys`].
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`].
    pub(super) fn new(
        requests: &[Request<'_>],
        denials: &Denials,
        question: Option<Question>,
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
        let asked = |request: &Request<'_>| Asked {
            plans: Few::of(request.plans),
            operation: request.operation,
        };
        let keys = |request: &Request<'_>| redis_keys(&request.key, request.plans, hash_keys);
        Ok(Self {
            keys: match requests {
                [request] => keys(request),
                _ => requests
                    .iter()
                    .flat_map(|request| keys(request).into_vec())
                    .collect(),
            },
            asked: requests.iter().map(asked).collect(),
            now: now.map(|now| now / 1_000),
            ids: requests
                .iter()
                .map(|request| denials.id(&request.key))
                .collect(),
            question,
        })
    }

    /// Whether the call may make room for others.
    pub(super) fn may_give_back(&self) -> bool {
        self.asked.iter().any(|asked| match asked.operation {
            Operation::Take(_)
            | Operation::Reserve { .. }
            | Operation::Peek(_)
            | Operation::Charge { .. } => false,
            Operation::Reset | Operation::Refund(_) | Operation::Release(..) => true,
        })
    }

    /// The calls that give back what these decisions have taken.
    pub(super) fn releases(&self, decisions: &[Decision]) -> Vec<Self> {
        if !decisions.iter().all(|decision| decision.allowed) {
            return Vec::new();
        }
        let mut keys = self.keys.iter();
        let requests = self.asked.iter().zip(self.ids.iter());
        requests
            .zip(decisions)
            .filter_map(|((asked, id), decision)| {
                let keys = keys.by_ref().take(asked.plans.len()).cloned().collect();
                let operation = asked.operation.release(decision)?;
                Some(Self {
                    keys,
                    asked: Few::One(Asked {
                        operation,
                        ..asked.clone()
                    }),
                    now: self.now,
                    ids: Few::One(*id),
                    question: None,
                })
            })
            .collect()
    }

    /// The limits with their operations, in the order of the keys.
    pub(super) fn limits(&self) -> impl Iterator<Item = (&Plan, Operation)> {
        self.asked
            .iter()
            .flat_map(|asked| asked.plans.iter().map(|plan| (plan, asked.operation)))
    }
}
