//! What a body reports, and what it does.

use std::future::poll_fn;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::{Failure, Seen};

/// What a body does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    Succeed,
    /// Fails this many times.
    Fail(usize),
    /// Calls another function, the first time.
    Call(fn() -> Seen),
    /// Ends when it is released, if it is sync.
    NeverEnd,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    count: usize,
    /// How many values live that bodies or their arguments hold.
    held: usize,
    inner: Option<Seen>,
}

/// What the bodies of one function report.
#[derive(Debug)]
pub struct Probe {
    state: Mutex<State>,
    changed: Condvar,
}

/// A value that a body or an argument holds.
#[derive(Debug)]
pub struct Held(&'static Probe);

impl Clone for Held {
    fn clone(&self) -> Self {
        self.0.held()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().held -= 1;
        self.0.changed.notify_all();
    }
}

impl Probe {
    /// Returns a probe that has seen nothing.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a probe is a static")]
    pub const fn new() -> Self {
        let state = State {
            plan: Plan::Succeed,
            count: 0,
            held: 0,
            inner: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a value that is counted while it lives, for an argument.
    pub fn held(&'static self) -> Held {
        self.state().held += 1;
        Held(self)
    }

    fn begin_run(&self) -> Plan {
        let mut state = self.state();
        state.count += 1;
        match state.plan {
            Plan::Fail(0) => Plan::Succeed,
            Plan::Fail(left) => {
                state.plan = Plan::Fail(left - 1);
                Plan::Fail(left)
            }
            Plan::Call(function) => {
                state.plan = Plan::Succeed;
                Plan::Call(function)
            }
            other => other,
        }
    }

    /// A sync body begins with this.
    ///
    /// # Errors
    /// When the body is to fail.
    pub fn run(&'static self) -> Result<Held, Failure> {
        let held = self.held();
        let plan = self.begin_run();
        if let Plan::NeverEnd = plan {
            self.wait_while(|state| matches!(state.plan, Plan::NeverEnd));
        }
        self.end_run(plan, held)
    }

    /// An async body begins with this. It is suspended once in any case.
    ///
    /// # Errors
    /// When the body is to fail.
    pub async fn run_async(&'static self) -> Result<Held, Failure> {
        let held = self.held();
        let plan = self.begin_run();
        let mut is_first = true;
        poll_fn(|_| {
            if std::mem::take(&mut is_first) || matches!(plan, Plan::NeverEnd) {
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        self.end_run(plan, held)
    }

    fn end_run(&self, plan: Plan, held: Held) -> Result<Held, Failure> {
        match plan {
            Plan::Fail(_) => return Err(Failure::Own),
            Plan::Call(function) => {
                let seen = function();
                self.state().inner = Some(seen);
            }
            Plan::Succeed | Plan::NeverEnd => {}
        }
        Ok(held)
    }

    pub(crate) fn begin(&self, plan: Plan) {
        let mut state = self.state();
        (state.plan, state.count, state.inner) = (plan, 0, None);
    }

    pub(crate) fn count(&self) -> usize {
        self.state().count
    }

    /// What the call within a call has seen.
    pub(crate) fn inner(&self) -> Option<Seen> {
        self.state().inner.clone()
    }

    /// Lets bodies end that wait to be released.
    pub(crate) fn release(&self) {
        self.state().plan = Plan::Succeed;
        self.changed.notify_all();
    }

    pub(crate) fn wait_until_nothing_is_held(&self) {
        self.wait_while(|state| state.held > 0);
    }

    #[track_caller]
    fn wait_while(&self, mut condition: impl FnMut(&State) -> bool) {
        // Only matters when a test fails.
        const LONGEST: Duration = Duration::from_secs(30);
        let waited = self
            .changed
            .wait_timeout_while(self.state(), LONGEST, |state| condition(state));
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited in vain: {state:?}");
    }
}
