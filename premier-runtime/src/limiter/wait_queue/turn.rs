//! Waiting until a waiter is the head of its queue and a condition holds.

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Poll, Waker};

use super::queue::{Position, WaitQueue, Waiter};
use crate::clock;
use crate::clock::SteadyClock;

impl<Q: Deref<Target = WaitQueue>> Waiter<Q> {
    /// Blocks the thread until this waiter is the head and `ready` returns something. Returns
    /// `None` when the deadline comes first.
    pub(crate) fn turn<T>(
        &self,
        clock: &SteadyClock,
        deadline: u64,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        self.until(clock, deadline, |position| match position {
            Position::Head(_) => ready(),
            Position::Behind => None,
        })
    }

    /// Waits as [`Waiter::turn`] does, without blocking the thread.
    pub(crate) async fn turn_async<T>(
        &self,
        clock: &SteadyClock,
        deadline: u64,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let ready = |position| match position {
            Position::Head(_) => ready(),
            Position::Behind => None,
        };
        self.until_async(clock, deadline, ready).await
    }

    /// Blocks the thread until `ready`, which is given the position of this waiter, returns something. It is
    /// asked again whenever this waiter is woken. Returns `None` when the deadline comes first.
    pub(crate) fn until<T>(
        &self,
        clock: &SteadyClock,
        deadline: u64,
        mut ready: impl FnMut(Position) -> Option<T>,
    ) -> Option<T> {
        let waker = clock::waker_of_this_thread();
        loop {
            match self.look(&waker, clock, deadline, &mut ready) {
                Poll::Ready(done) => return done,
                Poll::Pending => clock.park_until(deadline),
            }
        }
    }

    /// Waits as [`Waiter::until`] does, without blocking the thread.
    pub(crate) async fn until_async<T>(
        &self,
        clock: &SteadyClock,
        deadline: u64,
        mut ready: impl FnMut(Position) -> Option<T>,
    ) -> Option<T> {
        let mut sleep = clock.sleep_until(deadline);
        poll_fn(
            |context| match self.look(context.waker(), clock, deadline, &mut ready) {
                Poll::Pending => Pin::new(&mut sleep).poll(context).map(|()| None),
                done => done,
            },
        )
        .await
    }

    fn look<T>(
        &self,
        waker: &Waker,
        clock: &SteadyClock,
        deadline: u64,
        ready: &mut impl FnMut(Position) -> Option<T>,
    ) -> Poll<Option<T>> {
        // The waker is registered before `ready` is asked, so that a change in between wakes it.
        if let Some(done) = ready(self.position(waker)) {
            return Poll::Ready(Some(done));
        }
        if clock.now() >= deadline {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}
