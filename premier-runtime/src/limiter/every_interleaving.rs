//! Every interleaving of waiting calls of one limit, of their cancellation, of a clock that moves on, and of
//! changes and refunds of the limit. Run by `tests/run` with `--cfg premier_loom`.
//!
//! Afterwards the clock moves from deadline to deadline and a call is polled only when it has been woken, so the test
//! fails if a call is never woken again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::acquire::acquire_async;
use super::call;
use super::known_plans::plans;
use super::max_wait::{MaxWait, WaitTime};
use super::named::Limiter;
use super::overrides;
use crate::clock::{Clock, ManualClock};
use crate::config::builder::Config;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::limit::quota::Limit;
use crate::store::memory::MemoryHandler;
use crate::store::request::Operation;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// One call each second: two buckets, whose calls reserve slots, and a window, whose calls queue up.
fn limits(period: Duration) -> [Limit; 3] {
    [
        Limit::token_bucket(1, period),
        Limit::leaky_bucket(1, period).bucket_size(10),
        Limit::fixed_window(1, period),
    ]
}

/// A call without a maximum wait.
struct Call {
    future: Pin<Box<dyn Future<Output = Result<Decision, Error>> + Send>>,
    woken: Arc<Woken>,
    /// The second in which it was admitted.
    admitted: Option<u64>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Call {
    /// Polls the call if it has been woken. Returns whether it was.
    fn run(&mut self, clock: &ManualClock) -> bool {
        if self.admitted.is_some() || !self.woken.0.swap(false, Ordering::SeqCst) {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Poll::Ready(done) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            assert!(done.unwrap().allowed);
            self.admitted = Some(Duration::from_nanos(clock.now()).as_secs());
        }
        true
    }
}

/// A limit whose unit of the first second has been taken.
#[derive(Clone)]
struct Model {
    limiter: Arc<Limiter>,
    clock: ManualClock,
    first: Decision,
}

impl Model {
    fn new(limit: Limit) -> Self {
        let clock = ManualClock::new();
        let memory = MemoryHandler::builder().clock(clock.clone()).build();
        let runtime = Runtime::new(Config::new(memory));
        let plans = plans("model", &[limit]).unwrap();
        let limiter = Limiter::new(&runtime, "model".into(), plans, |_| ()).unwrap();
        let first = limiter.take(None, 1).unwrap();
        // Otherwise created by the first call that may wait, under a lock that loom does not know.
        limiter.queues();
        assert!(first.allowed);
        Self {
            limiter,
            clock,
            first,
        }
    }

    fn wait(&self) -> Call {
        let limiter = Arc::clone(&self.limiter);
        let max_wait = MaxWait {
            time: WaitTime::Unbounded,
            calls: None,
        };
        let mut call = Call {
            future: Box::pin(async move {
                let call = call::Call {
                    limiter: &limiter,
                    key: None,
                    cost: 1,
                    max_wait,
                };
                acquire_async(call, None).await
            }),
            woken: Arc::new(Woken(AtomicBool::new(true))),
            admitted: None,
        };
        call.run(&self.clock);
        call
    }

    /// As a call of `limits::set` does.
    fn change(&self, limit: Limit) {
        let plans = self.limiter.replacement(&[limit]).unwrap();
        overrides::change(&[Arc::clone(&self.limiter)], vec![plans]);
    }

    fn refund_the_first(&self) {
        let release = Operation::Release(self.first.reservation, 1);
        self.limiter.correct(None, release, false).unwrap();
    }

    /// Lets the clock move until all calls are admitted. Returns the seconds in which they are.
    fn finish(&self, calls: &mut [Call]) -> Vec<u64> {
        loop {
            let mut has_run = false;
            for call in &mut *calls {
                has_run |= call.run(&self.clock);
            }
            if calls.iter().all(|call| call.admitted.is_some()) {
                break;
            }
            if !has_run {
                assert!(
                    self.clock.advance_to_next(),
                    "nothing wakes a call any more"
                );
            }
        }
        assert!(self.limiter.queues().is_empty());
        assert!(self.limiter.queues().count().has_room(Some(1)));
        calls.iter().filter_map(|call| call.admitted).collect()
    }

    /// How long a call that comes now would wait.
    fn until_the_next(&self) -> Duration {
        let next = self.limiter.take(None, 1).unwrap();
        match next.allowed {
            true => next.delay,
            false => next.retry_after,
        }
    }
}

/// Runs `one` and `other` on two threads, after `begin` has made the calls that wait already, and passes all
/// calls to `check`.
fn explore(
    limits: [Limit; 3],
    begin: fn(&Model) -> Vec<Call>,
    one: fn(&Model, Vec<Call>) -> Vec<Call>,
    other: fn(&Model) -> Vec<Call>,
    check: fn(&Model, Vec<Call>),
) {
    for limit in limits {
        let mut model = loom::model::Builder::new();
        // At most three preemptions, as for the word of a limit.
        model.preemption_bound = Some(3);
        model.check(move || {
            let model = Model::new(limit);
            let calls = begin(&model);
            let thread = loom::thread::spawn({
                let model = model.clone();
                move || one(&model, calls)
            });
            let others = other(&model);
            let mut calls = thread.join().unwrap();
            calls.extend(others);
            check(&model, calls);
        });
    }
}

/// The limit of the model's algorithm with one call each `period`.
fn limit_like(model: &Model, period: Duration) -> Limit {
    let algo = model.limiter.limits()[0].algo();
    let like = limits(period)
        .into_iter()
        .find(|limit| limit.algo() == algo);
    like.unwrap()
}

fn none(_: &Model) -> Vec<Call> {
    Vec::new()
}

fn two(model: &Model) -> Vec<Call> {
    vec![model.wait(), model.wait()]
}

fn join(model: &Model) -> Vec<Call> {
    vec![model.wait()]
}

fn join_too(model: &Model, mut calls: Vec<Call>) -> Vec<Call> {
    calls.push(model.wait());
    calls
}

fn tick(model: &Model) -> Vec<Call> {
    model.clock.advance(SECOND);
    Vec::new()
}

/// From one call an hour to one a second.
fn change(model: &Model) -> Vec<Call> {
    model.change(limit_like(model, SECOND));
    Vec::new()
}

fn cancel_the_first(_: &Model, mut calls: Vec<Call>) -> Vec<Call> {
    drop(calls.remove(0));
    calls
}

/// Runs the calls that have been woken meanwhile.
fn run(model: &Model, mut calls: Vec<Call>) -> Vec<Call> {
    for _ in 0..2 {
        for call in &mut calls {
            call.run(&model.clock);
        }
    }
    calls
}

/// Lets all calls be admitted. Returns the seconds in which they are.
fn admitted(model: &Model, mut calls: Vec<Call>) -> Vec<u64> {
    let mut admitted = model.finish(&mut calls);
    // Nothing is left of this second, and nothing owed of the next one.
    assert_eq!(model.until_the_next(), SECOND);
    admitted.sort_unstable();
    admitted
}

#[test]
fn calls_that_join_together_get_one_slot_each() {
    explore(limits(SECOND), none, join_too, join, |model, calls| {
        assert_eq!(admitted(model, calls), [1, 2]);
    });
}

/// A store takes back its last slot only. Where the call that joins has a slot by then and is not among
/// those behind yet, the slot before it stays unused.
#[test]
fn waiters_behind_a_cancelled_call_move_up() {
    explore(
        limits(SECOND),
        two,
        cancel_the_first,
        join,
        |model, calls| {
            let admitted = admitted(model, calls);
            assert!(
                [[1, 2], [1, 3]].contains(&[admitted[0], admitted[1]]),
                "{admitted:?}"
            );
        },
    );
}

#[test]
fn a_call_that_is_cancelled_as_its_slot_comes_leaves_it_to_the_next() {
    explore(
        limits(SECOND),
        two,
        cancel_the_first,
        tick,
        |model, calls| {
            assert_eq!(admitted(model, calls), [1]);
        },
    );
}

#[test]
fn calls_that_run_as_the_clock_moves_take_one_slot_each() {
    explore(limits(SECOND), two, run, tick, |model, calls| {
        assert_eq!(admitted(model, calls), [1, 2]);
    });
}

/// Lets all calls be admitted, no two in one slot, though a slot may stay unused. Returns the seconds in which
/// they are.
fn admitted_apart(model: &Model, mut calls: Vec<Call>) -> Vec<u64> {
    let mut seconds = model.finish(&mut calls);
    seconds.sort_unstable();
    assert!(seconds.is_sorted_by(|one, next| one < next), "{seconds:?}");
    assert!(
        model.until_the_next() >= SECOND,
        "a slot is given twice: {seconds:?}"
    );
    seconds
}

/// A leaky bucket runs a call in its slot, which does not come back. A call that joins just after the others have
/// moved up, or just before, asks again, and a slot in between may stay unused.
#[test]
fn refunded_units_let_waiters_move_up() {
    let give_back = |model: &Model| {
        model.refund_the_first();
        Vec::new()
    };
    explore(limits(SECOND), two, join_too, give_back, |model, calls| {
        let seconds = admitted_apart(model, calls);
        let expected = match model.limiter.is_queue() {
            true => [[1, 2, 3], [1, 2, 3]],
            false => [[0, 1, 2], [0, 1, 3]],
        };
        assert!(
            expected.iter().any(|expected| *seconds == expected[..]),
            "{seconds:?}"
        );
    });
}

/// Lets all calls be admitted, one after the other by the limit in force, with no slot between them unused.
fn all_are_admitted_in_a_row(model: &Model, mut calls: Vec<Call>) {
    let mut seconds = model.finish(&mut calls);
    seconds.sort_unstable();
    let limit = model.limiter.limits()[0];
    let period = limit.period().as_secs();
    // At most a full debt of the limit in force is owed for the first unit.
    let full = if model.limiter.is_queue() {
        limit.capacity()
    } else {
        1
    };
    let expected: Vec<u64> = (full..)
        .take(seconds.len())
        .map(|slot| slot * period)
        .collect();
    assert_eq!(seconds, expected);
    assert_eq!(model.until_the_next(), limit.period());
}

#[test]
fn a_changed_limit_reaches_waiters_and_calls_that_join_meanwhile() {
    explore(
        limits(HOUR),
        two,
        join_too,
        change,
        all_are_admitted_in_a_row,
    );
}

#[test]
fn a_call_may_be_cancelled_while_the_limit_changes() {
    explore(
        limits(HOUR),
        two,
        cancel_the_first,
        change,
        all_are_admitted_in_a_row,
    );
}

#[test]
fn a_call_that_joins_may_be_cancelled_while_the_limit_changes() {
    let join_and_leave = |model: &Model, calls| {
        drop(model.wait());
        calls
    };
    explore(
        limits(HOUR),
        two,
        join_and_leave,
        change,
        all_are_admitted_in_a_row,
    );
}

/// From one call a second to one an hour: a unit that is given back as one of the new limit would be worth more
/// than was taken.
#[test]
fn a_call_that_is_cancelled_while_the_limit_is_lowered_releases_its_slot() {
    let lower = |model: &Model| {
        model.change(limit_like(model, HOUR));
        Vec::new()
    };
    explore(
        limits(SECOND),
        two,
        cancel_the_first,
        lower,
        all_are_admitted_apart,
    );
}

#[test]
fn calls_that_run_while_the_limit_changes_ask_again() {
    explore(limits(HOUR), two, run, change, all_are_admitted_in_a_row);
}

#[test]
fn limits_that_change_twice_at_once_leave_no_waiter_behind() {
    let change_too = |model: &Model, calls| {
        model.change(limit_like(model, 2 * SECOND));
        calls
    };
    explore(
        limits(HOUR),
        two,
        change_too,
        change,
        all_are_admitted_in_a_row,
    );
}

fn all_are_admitted_apart(model: &Model, calls: Vec<Call>) {
    admitted_apart(model, calls);
}
