//! Operations on their way to the server and back, with what gives their units back.

use std::sync::Arc;

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::failure::{Failure, backend};
use super::link::Link;
use super::script::Call;
use crate::algorithms::Plan;
use crate::error::Error;
use crate::key::full::Key;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};

/// An operation on one key or more, ready to be sent by the driver thread.
pub(super) struct Job {
    call: Call,
    /// The requests by which the job takes units.
    taken: Vec<TakeRequest>,
    /// The time of the user's clock in microseconds, if there is one.
    now: Option<u64>,
    hash_keys: bool,
}

impl Job {
    /// Prepares requests that are decided as one. `now` is the time of the user's clock in microseconds.
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`].
    pub(super) fn new(
        requests: &[Request<'_>],
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
        Ok(Self {
            call: Call::new(requests, now, hash_keys),
            taken: requests.iter().map(TakeRequest::new).collect(),
            now,
            hash_keys,
        })
    }

    pub(super) async fn run(&self, link: &Arc<Link>) -> Result<Vec<Decision>, Failure> {
        let reply: Value = link.run(&self.call).await?;
        self.call
            .read(reply)
            .map_err(|error| error.to_string().into())
    }

    /// Gives back the units taken for a caller that was dropped before it read its decisions.
    pub(super) async fn undo(&self, link: &Arc<Link>, decisions: &[Decision]) {
        if !decisions.iter().all(|decision| decision.allowed) {
            return;
        }
        for (request, decision) in self.taken.iter().zip(decisions) {
            if let Some(release) = request.as_request().release(decision) {
                // If this fails, the units stay taken. That never admits more than the limit.
                let call = Call::new(&[release], self.now, self.hash_keys);
                let _ = link.run(&call).await;
            }
        }
    }
}

/// A request that outlives its caller.
struct TakeRequest {
    prefix: Box<str>,
    subject: Option<Box<str>>,
    plans: Box<[Plan]>,
    operation: Operation,
}

impl TakeRequest {
    fn new(request: &Request<'_>) -> Self {
        Self {
            prefix: request.key.prefix().into(),
            subject: request.key.subject().map(Into::into),
            plans: request.plans.into(),
            operation: request.operation,
        }
    }

    fn as_request(&self) -> Request<'_> {
        Request {
            key: Key::new(&self.prefix, self.subject.as_deref()),
            plans: &self.plans,
            operation: self.operation,
        }
    }
}

/// The decisions that an async caller awaits. If the caller drops it after they arrived, their units are
/// given back.
pub(super) struct PendingAnswer {
    pub(super) answered: oneshot::Receiver<Result<Vec<Decision>, Failure>>,
    pub(super) job: Arc<Job>,
    pub(super) link: Arc<Link>,
    pub(super) driver: Handle,
}

impl PendingAnswer {
    pub(super) async fn read(mut self) -> Result<Vec<Decision>, Error> {
        match (&mut self.answered).await {
            Ok(result) => result.map_err(backend),
            Err(_) => Err(backend("the driver has stopped".into())),
        }
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        // Closed first, so that an answer is either here or with the driver, which then gives the units back.
        self.answered.close();
        if let Ok(Ok(decisions)) = self.answered.try_recv() {
            let (job, link) = (Arc::clone(&self.job), Arc::clone(&self.link));
            self.driver
                .spawn(async move { job.undo(&link, &decisions).await });
        }
    }
}
