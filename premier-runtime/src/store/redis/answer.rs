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
use crate::clock::waker_of_this_thread;
use crate::error::Error;
use crate::limit::decision::Decision;

/// The decisions about a call. If the caller does not receive them, their units are released.
pub(super) struct Decided {
    decisions: Option<Few<Decision>>,
    check: Box<Check>,
    sender: Arc<dyn Sender>,
}

/// Sends calls whose decisions no caller waits for.
pub(super) trait Sender: Send + Sync {
    fn send(self: Arc<Self>, check: Box<Check>);

    /// The time of the clock set by the user in nanoseconds, if there is one.
    fn user_time(&self) -> Option<u64>;
}

impl Decided {
    pub(super) fn new(
        decisions: Few<Decision>,
        check: Box<Check>,
        sender: Arc<dyn Sender>,
    ) -> Self {
        Self {
            decisions: Some(decisions),
            check,
            sender,
        }
    }

    /// Takes the decisions, whose units then belong to the caller.
    fn take(mut self) -> Few<Decision> {
        self.decisions
            .take()
            .unwrap_or_else(|| Few::Many(Vec::new()))
    }
}

impl Drop for Decided {
    fn drop(&mut self) {
        let Some(decisions) = &self.decisions else {
            return;
        };
        for release in self.check.releases(decisions, self.sender.user_time()) {
            // If that fails, the units stay taken, which never admits more than the limit.
            Arc::clone(&self.sender).send(Box::new(release));
        }
    }
}

/// The decisions about a call, or the reason why there are none.
pub(super) type Answer = Result<Decided, Failure>;

/// The caller of a call on its way.
pub(super) enum Caller {
    /// No caller waits for the decisions.
    Nobody,
    /// Waits for the decisions until this time, in nanoseconds of [`real_now`](crate::clock::real_now).
    Waits(oneshot::Sender<Answer>, u64),
    /// Has received the error that there was no answer in time.
    Gone,
}

impl Caller {
    /// Whether a call that has not been sent may be dropped.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Waits(caller, _) => caller.is_closed(),
            Self::Gone => true,
        }
    }

    /// Sends the answer to the caller, if it waits.
    pub(super) fn answer(self, answer: Answer) {
        if let Self::Waits(caller, _) = self {
            let _ = caller.send(answer);
        }
    }
}

/// Waits for an answer.
pub(super) async fn wait_async(answer: oneshot::Receiver<Answer>) -> Result<Few<Decision>, Error> {
    taken(answer.await)
}

/// As [`wait_async`], blocking the thread, for at most `timeout` even if nothing else in the process runs.
pub(super) fn wait(
    answer: oneshot::Receiver<Answer>,
    timeout: Duration,
) -> Result<Few<Decision>, Error> {
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
