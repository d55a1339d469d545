//! Deciding calls: by the denials and leases of this process, or by asking the server.

use tokio::sync::oneshot;

use super::answer::{self, Answer, Sender};
use super::check::Check;
use super::denials::KeyId;
use super::few::Few;
use super::handler::{RedisHandler, Shared, refuse_on_driver_thread};
use crate::algorithms::Plan;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};

impl Shared {
    pub(super) fn check(&self, requests: &[Request<'_>]) -> Result<Check, Error> {
        let now = self.outbox.user_time();
        Check::new(requests, &self.outbox.denials, now, self.options.hash_keys)
    }

    /// Decides about a request without asking the server; `None` if that is impossible.
    pub(super) fn decide_locally(&self, request: &Request<'_>) -> Option<Decision> {
        let now = self.outbox.now();
        let denials = &self.outbox.denials;
        match request.operation {
            Operation::Take(_) | Operation::Reserve { .. } => self
                .take_leased(request, now)
                .or_else(|| denials.get(request, now)),
            Operation::Peek(cost) => denials.get(&request.with(Operation::Take(cost)), now),
            _ => None,
        }
    }

    /// Takes units from a lease.
    fn take_leased(&self, request: &Request<'_>, now: u64) -> Option<Decision> {
        request.plans.first()?.limit().stated_lease()?;
        let key = self.outbox.denials.id(&request.key);
        let call = LeasedCall::of(request, Some(&key))?;
        let leases = &self.outbox.leases;
        let found = leases.take(call.key, call.plan, call.cost, call.most, now);
        if let Some(units) = found.fetch {
            self.fetch(request, units, now);
        }
        found.decision
    }

    /// Fetches units for a lease.
    fn fetch(&self, request: &Request<'_>, units: u64, now: u64) {
        if let Ok(check) = self.check(&[request.with(Operation::Take(1))]) {
            self.outbox.fetch(check, units, now);
        }
    }
}

impl RedisHandler {
    /// Decides about all requests as one.
    pub(super) fn decide(&self, requests: &[Request<'_>]) -> Result<Few<Decision>, Error> {
        refuse_on_driver_thread()?;
        let answer = self.ask(requests)?;
        let decided = answer::wait(answer, self.shared.link.timeout)?;
        Ok(self.or_from_lease(requests, decided))
    }

    /// As [`RedisHandler::decide`], without blocking the thread.
    pub(super) async fn decide_async(
        &self,
        requests: &[Request<'_>],
    ) -> Result<Few<Decision>, Error> {
        let decided = answer::wait_async(self.ask(requests)?).await?;
        Ok(self.or_from_lease(requests, decided))
    }

    /// Asks about requests that are decided as one.
    fn ask(&self, requests: &[Request<'_>]) -> Result<oneshot::Receiver<Answer>, Error> {
        let shared = &*self.shared;
        let driver = self.driver()?;
        let mut check = shared.check(requests)?;
        let fetch = match requests {
            [request] => {
                let now = shared.outbox.now();
                check.snapshot = shared.outbox.denials.snapshot(check.ids.first(), now);
                let wanted = LeasedCall::of(request, check.ids.first()).and_then(|call| {
                    let leases = &shared.outbox.leases;
                    leases.wanted(call.key, call.cost, call.most, now)
                });
                wanted.map(|units| (units, now))
            }
            _ => None,
        };
        let (answer, wakes_driver) = shared.outbox.ask(Box::new(check));
        if wakes_driver {
            // Not for each call, because it is a system call.
            driver.refuse_in_child()?;
        }
        if let (Some((units, now)), [request]) = (fetch, requests) {
            // After the call, which would be denied if the units were the last.
            shared.fetch(request, units, now);
        }
        Ok(answer)
    }

    /// Takes leased units for a call that Redis has denied, perhaps because this process has leased them.
    fn or_from_lease(&self, requests: &[Request<'_>], decided: Few<Decision>) -> Few<Decision> {
        if let ([request], [Decision { allowed: false, .. }]) = (requests, &*decided)
            && let Some(admitted) = self.shared.take_leased(request, self.shared.outbox.now())
        {
            return Few::One(admitted);
        }
        decided
    }
}

/// A call by a limit with a lease.
struct LeasedCall<'a> {
    key: KeyId,
    plan: &'a Plan,
    cost: u64,
    most: u64,
}

impl<'a> LeasedCall<'a> {
    fn of(request: &Request<'a>, key: Option<&KeyId>) -> Option<Self> {
        let ([plan], Operation::Take(cost) | Operation::Reserve { cost, .. }) =
            (request.plans, request.operation)
        else {
            return None;
        };
        let lease = plan.limit().stated_lease()?;
        let most = lease.units(plan.capacity());
        (cost > 0 && cost <= plan.capacity()).then_some(Self {
            key: *key?,
            plan,
            cost,
            most,
        })
    }
}
