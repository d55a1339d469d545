//! How callers wait for the decisions about their calls.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;

use super::check::Check;
use super::failure::{Failure, backend};
use super::few::Few;
use super::link::no_answer_within;
use super::outbox::Outbox;
use crate::algorithms::State;
use crate::clock::waker_of_this_thread;
use crate::error::Error;
use crate::limit::decision::Decision;

/// The decisions about a call. What they have taken is given back if nobody takes them.
pub(super) struct Decided {
    decisions: Option<Few<Decision>>,
    check: Box<Check>,
    outbox: Arc<Outbox>,
}

impl Decided {
    /// `denied_by` is the state by which a call of one limit was denied, and the time of the server, if they
    /// are known.
    pub(super) fn new(
        decisions: Few<Decision>,
        denied_by: Option<(State, u64)>,
        check: Box<Check>,
        outbox: &Arc<Outbox>,
    ) -> Self {
        outbox.denials.note(&check, &decisions, denied_by);
        Self {
            decisions: Some(decisions),
            check,
            outbox: Arc::clone(outbox),
        }
    }

    /// Takes the decisions.
    pub(super) fn take(mut self) -> Few<Decision> {
        self.decisions
            .take()
            .unwrap_or_else(|| Few::Many(Vec::new()))
    }
}

impl Drop for Decided {
    fn drop(&mut self) {
        for release in self
            .decisions
            .iter()
            .flat_map(|decisions| self.check.releases(decisions, self.outbox.now()))
        {
            // If that fails, the units stay taken, which never admits more than the limit.
            self.outbox.send(Box::new(release));
        }
    }
}

/// The decisions about a call, or the reason why there are none.
pub(super) type Answer = Result<Decided, Failure>;

/// Where the decisions about a call are.
pub(super) enum Pending {
    Decided(Few<Decision>),
    Asked(oneshot::Receiver<Answer>),
}

/// Waits for an answer.
pub(super) async fn read(pending: Pending) -> Result<Few<Decision>, Error> {
    match pending {
        Pending::Decided(decisions) => Ok(decisions),
        Pending::Asked(answer) => taken(answer.await),
    }
}

/// As [`read`], blocking the thread, for at most `timeout` even if nothing else in the process runs.
pub(super) fn wait(pending: Pending, timeout: Duration) -> Result<Few<Decision>, Error> {
    let answer = match pending {
        Pending::Decided(decisions) => return Ok(decisions),
        Pending::Asked(answer) => answer,
    };
    // The thread may be that of a task whose budget is used up.
    let mut answer = pin!(unconstrained(answer));
    let waker = waker_of_this_thread();
    let start = Instant::now();
    loop {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            return taken(answer);
        }
        match timeout.checked_sub(start.elapsed()) {
            Some(left) => thread::park_timeout(left),
            None => return Err(backend(no_answer_within(timeout))),
        }
    }
}

fn taken(answer: Result<Answer, oneshot::error::RecvError>) -> Result<Few<Decision>, Error> {
    match answer {
        Ok(Ok(decided)) => Ok(decided.take()),
        Ok(Err(failure)) => Err(backend(failure)),
        Err(_) => Err(backend("the driver has stopped".into())),
    }
}
