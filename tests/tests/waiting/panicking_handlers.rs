//! A store that panics while units are given back hurts the caller of that operation, and no waiter.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use premier::clock::{Clock, ManualClock};
use premier::{
    Decision, Error, Handler, Limit, MemoryHandler, Operation, Permit, Request, Throttle, limits,
};

const SECOND: Duration = Duration::from_secs(1);

type Hook = Box<dyn FnOnce() + Send>;
type Call = Pin<Box<dyn Future<Output = Result<Permit, Error>> + Send>>;

/// A handler that calls a hook and panics the next time that units are given back, after it has done so.
#[derive(Clone)]
struct PanicsOnce {
    clock: ManualClock,
    memory: MemoryHandler,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl fmt::Debug for PanicsOnce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PanicsOnce")
    }
}

impl Handler for PanicsOnce {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        let decided = self.memory.handle(request);
        let gives_back = matches!(
            request.operation,
            Operation::Release(..) | Operation::Refund(_)
        );
        let hook = gives_back.then(|| self.hook.lock().unwrap().take());
        if let Some(hook) = hook.flatten() {
            hook();
            panic!("the test asked for this panic");
        }
        decided
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        self.memory.clear(keyspace)
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        Some(Arc::new(self.clock.clone()))
    }
}

/// A throttle of one unit a second whose unit is taken, and its store.
fn used_up(name: &str) -> (PanicsOnce, Throttle) {
    let clock = ManualClock::new();
    let store = PanicsOnce {
        memory: MemoryHandler::builder().clock(clock.clone()).build(),
        clock,
        hook: Arc::default(),
    };
    let throttle = Throttle::new(name, Limit::token_bucket(1, SECOND)).with_config(store.clone());
    throttle.acquire("k").unwrap();
    (store, throttle.wait())
}

fn poll(call: &mut Call) -> Poll<Result<Permit, Error>> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn waiting(throttle: &Throttle) -> Call {
    waiting_for(throttle, "k")
}

fn waiting_for(throttle: &Throttle, key: &'static str) -> Call {
    let throttle = throttle.clone();
    let mut call: Call = Box::pin(async move { throttle.acquire_async(key).await });
    assert!(poll(&mut call).is_pending());
    call
}

/// Lets time pass until each call has been admitted.
#[track_caller]
fn assert_admitted(clock: &ManualClock, mut calls: Vec<Call>) {
    for _ in 0..20 {
        clock.advance(SECOND);
        calls.retain_mut(|call| match poll(call) {
            Poll::Pending => true,
            Poll::Ready(acquired) => {
                acquired.unwrap();
                false
            }
        });
    }
    assert!(calls.is_empty(), "{} calls still wait", calls.len());
}

impl PanicsOnce {
    /// Runs `work`, in which the store panics after it has called `hook`.
    #[track_caller]
    fn panics_in(&self, hook: impl FnOnce() + Send + 'static, work: impl FnOnce()) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
        let panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
        assert!(panicked, "the caller does not learn of the panic");
    }
}

#[test]
fn waiters_are_admitted_although_the_store_panics_while_their_slots_are_recalled() {
    let (store, throttle) = used_up("recalled in a panic");
    let calls: Vec<_> = (0..3).map(|_| waiting(&throttle)).collect();
    let changed = Limit::token_bucket(1, 2 * SECOND);
    store.panics_in(|| (), || drop(limits::set("recalled in a panic", changed)));
    assert_admitted(&store.clock, calls);
}

#[test]
fn the_slots_of_all_keys_are_recalled_although_the_store_panics_for_one() {
    let (store, throttle) = used_up("recalled for all keys");
    throttle.acquire("other").unwrap();
    let keys = ["k", "other"];
    let calls = keys.map(|key| waiting_for(&throttle, key));
    let changed = Limit::token_bucket(1, 2 * SECOND);
    store.panics_in(
        || (),
        || drop(limits::set("recalled for all keys", changed)),
    );
    let free_after = |key| throttle.peek(key).unwrap().retry_after;
    assert_eq!(keys.map(free_after), [SECOND; 2]);
    assert_admitted(&store.clock, calls.into());
}

#[test]
fn slots_that_were_given_up_meanwhile_go_back_although_the_store_panics() {
    let (store, throttle) = used_up("given up in a panic");
    let first = waiting(&throttle);
    let (second, third) = (waiting(&throttle), waiting(&throttle));
    store.panics_in(|| drop(second), || drop(third));
    assert_eq!(throttle.peek("k").unwrap().retry_after, 2 * SECOND);
    drop(first);
    assert_eq!(throttle.peek("k").unwrap().retry_after, SECOND);
}

#[test]
fn a_limit_can_be_changed_after_the_store_has_panicked() {
    let (store, throttle) = used_up("changed after a panic");
    let calls = vec![waiting(&throttle), waiting(&throttle)];
    let last = waiting(&throttle);
    store.panics_in(|| (), || drop(last));
    limits::set("changed after a panic", Limit::token_bucket(2, SECOND)).unwrap();
    assert_admitted(&store.clock, calls);
}

#[test]
fn a_call_whose_slot_cannot_be_given_back_no_longer_counts_as_waiting() {
    let (store, throttle) = used_up("counted in a panic");
    let throttle = throttle.max_waiting(1);
    let call = waiting(&throttle);
    store.panics_in(|| (), || drop(call));
    assert_admitted(&store.clock, vec![waiting(&throttle)]);
}
