//! A thread that carries requests out for tasks, which must not block theirs. A store with an async client
//! needs none.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use premier::algorithms::Plan;
use premier::{Decision, Error, Key, Operation, Request};

use super::client::Client;

/// Sends requests to its thread, which ends when this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Worker(Sender<Job>);

#[derive(Debug)]
struct Job {
    request: OwnedRequest,
    answer: Option<Arc<Mutex<Slot>>>,
}

/// A request that outlives the call.
#[derive(Clone, Debug)]
struct OwnedRequest {
    prefix: String,
    subject: Option<String>,
    plans: Vec<Plan>,
    operation: Operation,
}

/// Where the thread leaves a decision for the task.
#[derive(Debug, Default)]
struct Slot {
    decision: Option<Result<Decision, Error>>,
    waker: Option<Waker>,
    is_abandoned: bool,
}

impl OwnedRequest {
    fn new(request: &Request<'_>) -> Self {
        Self {
            prefix: request.key.prefix().to_owned(),
            subject: request.key.subject().map(str::to_owned),
            plans: request.plans.to_vec(),
            operation: request.operation,
        }
    }

    fn request(&self) -> Request<'_> {
        let key = Key::new(&self.prefix, self.subject.as_deref());
        Request::new(key, &self.plans, self.operation)
    }
}

impl Worker {
    pub(super) fn start(client: Arc<Client>) -> Self {
        let (sender, jobs) = channel::<Job>();
        thread::spawn(move || {
            for job in jobs {
                let request = job.request.request();
                let decision = client.decide(&request);
                let Some(answer) = job.answer else { continue };
                let mut slot = lock(&answer);
                if slot.is_abandoned {
                    drop(slot);
                    if let Some(release) = release(&request, &decision) {
                        let _ = client.decide(&release);
                    }
                    continue;
                }
                slot.decision = Some(decision);
                let waker = slot.waker.take();
                drop(slot);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        });
        Self(sender)
    }

    /// Carries a request out and ignores the result.
    pub(super) fn detach(&self, request: &Request<'_>) {
        let request = OwnedRequest::new(request);
        let _ = self.0.send(Job {
            request,
            answer: None,
        });
    }

    /// Carries a request out. If the future is dropped, what has been taken is given back.
    pub(super) fn decide(&self, request: &Request<'_>) -> PendingDecision {
        let pending = PendingDecision {
            worker: self.clone(),
            request: OwnedRequest::new(request),
            slot: Arc::default(),
        };
        let _ = self.0.send(Job {
            request: pending.request.clone(),
            answer: Some(Arc::clone(&pending.slot)),
        });
        pending
    }
}

/// The decision, once the thread has it.
#[derive(Debug)]
pub(super) struct PendingDecision {
    worker: Worker,
    request: OwnedRequest,
    slot: Arc<Mutex<Slot>>,
}

impl Future for PendingDecision {
    type Output = Result<Decision, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.slot);
        match slot.decision.take() {
            Some(decision) => Poll::Ready(decision),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for PendingDecision {
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.is_abandoned = true;
        // The future was dropped before it returned the decision.
        if let Some(decision) = slot.decision.take() {
            let request = self.request.request();
            if let Some(release) = release(&request, &decision) {
                self.worker.detach(&release);
            }
        }
    }
}

/// The request that gives back what a decision has taken.
fn release<'a>(request: &Request<'a>, decision: &Result<Decision, Error>) -> Option<Request<'a>> {
    decision
        .as_ref()
        .ok()
        .and_then(|decision| request.release(decision))
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
