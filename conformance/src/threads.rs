//! Threads at one store, operations on several keys, and the async methods.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use premier::algorithms::Plan;
use premier::{Decision, Error, Handler, Key, Limit, Operation, Request};

use crate::Check;
use crate::case::{Case, Limited, MINUTE, each_algorithm, ensure};

pub(crate) const CHECKS: [Check; 6] = [
    ("threads take exactly what a limit admits", threads),
    ("take_all takes from all keys or from none", take_all),
    (
        "take_all_async takes from all keys or from none",
        take_all_async,
    ),
    (
        "take_all by threads takes from all keys or from none",
        take_all_by_threads,
    ),
    ("handle_async decides as handle", handle_async),
    (
        "what is released in the background can be taken again",
        detached,
    ),
];

const THREADS: usize = 4;

fn threads(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(40) {
        let plans = [Plan::new(limit).map_err(|error| error.to_string())?];
        let prefix = format!("{}:threads:{}", case.keyspace(""), limit.algo());
        let request = Request::new(Key::new(&prefix, None), &plans, Operation::Take(1));
        let admitted = in_threads(case.handler, |handler| {
            handler.handle(&request).map(|decision| decision.allowed)
        })?;
        ensure(
            admitted == 40,
            format!("{limit}: {admitted} of 80 calls were admitted instead of 40"),
        )?;
    }
    Ok(())
}

/// Calls 20 times in each of several threads. Returns how many calls were admitted.
fn in_threads(
    handler: &dyn Handler,
    call: impl Fn(&dyn Handler) -> Result<bool, Error> + Sync,
) -> Result<usize, String> {
    let calls = || -> Result<usize, Error> {
        let mut admitted = 0;
        for _ in 0..20 {
            admitted += usize::from(call(handler)?);
        }
        Ok(admitted)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(calls)).collect();
        let mut admitted = 0;
        for thread in threads {
            let of_thread = thread
                .join()
                .map_err(|_| "a call has panicked".to_owned())?;
            admitted += of_thread.map_err(|error| error.to_string())?;
        }
        Ok(admitted)
    })
}

/// A key of which five units can be taken, and one of which three can.
fn pair<'a>(case: &'a Case<'_>, name: &str) -> [Limited<'a>; 2] {
    [
        case.limits(name, &[Limit::token_bucket(5, MINUTE)]),
        case.limits(name, &[Limit::sliding_log(3, MINUTE)]),
    ]
}

fn take_all(case: &Case<'_>) -> Result<(), String> {
    check_take_all(case, |handler, requests| handler.take_all(requests))
}

fn take_all_async(case: &Case<'_>) -> Result<(), String> {
    check_take_all(case, |handler, requests| {
        block_on(handler.take_all_async(requests))
    })
}

fn check_take_all(
    case: &Case<'_>,
    take_all: impl Fn(&dyn Handler, &[Request<'_>]) -> Result<Vec<Decision>, Error>,
) -> Result<(), String> {
    let [five, three] = pair(case, "all");
    let take = |of_five, of_three| {
        take_all(
            case.handler,
            &[
                five.request(Operation::Take(of_five)),
                three.request(Operation::Take(of_three)),
            ],
        )
    };
    let decisions = |result: Result<Vec<Decision>, Error>| {
        let decisions = result.map_err(|error| format!("take_all: {error}"))?;
        ensure(
            decisions.len() == 2,
            format!("{} decisions about two requests", decisions.len()),
        )?;
        Ok::<_, String>(decisions)
    };
    let taken = decisions(take(1, 2))?;
    ensure(
        taken.iter().all(|decision| decision.allowed),
        format!("denied at first: {taken:?}"),
    )?;
    for _ in 0..2 {
        let denied = decisions(take(1, 2))?;
        ensure(
            !denied.iter().all(|decision| decision.allowed),
            format!("admitted although one key has too little left: {denied:?}"),
        )?;
        five.has(4)?;
        three.has(1)?;
    }
    let too_costly = take(1, 4);
    ensure(
        matches!(too_costly, Err(Error::CostExceedsCapacity { .. })),
        format!("a cost above a capacity: {too_costly:?}"),
    )?;
    five.has(4)?;
    three.has(1)?;
    // What was taken can be released from each.
    five.release(taken[0].reservation(), 1)?;
    three.release(taken[1].reservation(), 2)?;
    five.has(5)?;
    three.has(3)?;
    Ok(())
}

fn take_all_by_threads(case: &Case<'_>) -> Result<(), String> {
    // More than the threads can hold at once besides what the other key admits.
    let wide = Limit::token_bucket(30, MINUTE);
    let narrow = Limit::fixed_window(20, MINUTE);
    let plans = [wide, narrow].map(|limit| [Plan::new(limit).expect("a valid limit")]);
    let prefixes = ["wide", "narrow"].map(|name| format!("{}:{name}:threads", case.keyspace("")));
    let request = |index: usize, operation| {
        Request::new(Key::new(&prefixes[index], None), &plans[index], operation)
    };
    let requests = [0, 1].map(|index| request(index, Operation::Take(1)));
    let admitted = in_threads(case.handler, |handler| {
        let decisions = handler.take_all(&requests)?;
        Ok(decisions.iter().all(|decision| decision.allowed))
    })?;
    ensure(
        admitted == 20,
        format!("{admitted} of 80 calls were admitted instead of 20"),
    )?;
    for (index, remaining) in [(0, 10), (1, 0)] {
        case.eventually("the units of denied calls are given back", || {
            let peek = case.handler.handle(&request(index, Operation::Peek(0)));
            peek.map(|decision| decision.remaining == remaining)
                .map_err(|error| error.to_string())
        })?;
    }
    Ok(())
}

fn handle_async(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("async", &[limit]);
        for (units, remaining) in [(1, 2), (2, 0)] {
            let request = limited.request(Operation::Take(units));
            let decision = block_on(case.handler.handle_async(request));
            let is_right = matches!(
                &decision,
                Ok(decision) if decision.allowed && decision.remaining == remaining
            );
            ensure(is_right, format!("{limit}: handle_async: {decision:?}"))?;
        }
        limited.denies(1)?;
    }
    Ok(())
}

fn detached(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("detached", &[limit]);
        let taken = limited.admits(3, 0)?;
        let release = Operation::Release(*taken.reservation(), 3);
        case.handler.handle_detached(&limited.request(release));
        case.eventually("handle_detached has released the units", || {
            limited
                .handle(Operation::Peek(0))
                .map(|decision| decision.remaining == 3)
        })?;
    }
    Ok(())
}

struct WakeThread(Thread);

impl Wake for WakeThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(WakeThread(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
