//! The deadlines of callers, which the timer thread keeps.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use super::{Outbox, Queues};
use crate::clock::{real_now, wake_at};
use crate::store::redis::answer::Caller;
use crate::store::redis::link::no_answer_within;
use crate::sync::lock_std;

impl Outbox {
    /// Lets the timer thread answer callers whose deadline has passed.
    pub(super) fn watch(self: &Arc<Self>, deadline: u64) {
        let watch = Watch(Arc::downgrade(self));
        wake_at(deadline, Waker::from(Arc::new(watch)));
    }

    /// Answers the callers whose deadline has passed with an error, and returns the earliest deadline of the others.
    fn expire(&self, now: u64) -> Option<u64> {
        let mut expired = Vec::new();
        let mut next = None;
        let mut queues = lock_std(&self.queues);
        let mut look = |caller: &mut Caller| match caller {
            Caller::Waits(_, deadline) if *deadline <= now => {
                expired.push(std::mem::replace(caller, Caller::Gone));
            }
            Caller::Waits(_, deadline) => next = Some(next.unwrap_or(u64::MAX).min(*deadline)),
            Caller::Nobody | Caller::Gone => {}
        };
        let Queues {
            alone, together, ..
        } = &mut *queues;
        let waiting = together.iter_mut().flat_map(|queue| &mut queue.waiting);
        for (_, caller) in alone.iter_mut().chain(waiting) {
            look(caller);
        }
        for (_, callers) in &queues.sent {
            lock_std(callers).iter_mut().for_each(&mut look);
        }
        queues.is_watched = next.is_some();
        drop(queues);
        for caller in expired {
            caller.answer(Err(no_answer_within(self.timeout)));
        }
        next
    }
}

struct Watch(Weak<Outbox>);

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Some(outbox) = self.0.upgrade()
            && let Some(next) = outbox.expire(real_now())
        {
            wake_at(next, Waker::from(self));
        }
    }
}
