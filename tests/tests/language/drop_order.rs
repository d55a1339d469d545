//! A function with attributes drops its arguments, variables and temporaries in the order in which the
//! same function without attributes does. Both are made from one body.
//!
//! `tests/edition_2021` compiles this file once more: temporaries of a tail expression and of `if let`
//! live longer there.
//!
//! Two attributes do more than keep the order. A sync function with `#[timeout]` drops on
//! its worker thread. A function with `#[retry]` clones its arguments by value for each attempt: the
//! clones are dropped as the bare function drops its arguments, and the originals when the call has ended.
#![forbid(unsafe_code)]
#![deny(warnings)]
// The lints are about the functions under test.
#![allow(
    clippy::manual_async_fn,
    clippy::needless_pass_by_value,
    clippy::toplevel_ref_arg,
    clippy::too_many_arguments
)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

/// The names of what was dropped.
type Log = Arc<Mutex<Vec<&'static str>>>;

/// A value that notes when it is dropped.
struct Noted {
    name: &'static str,
    log: Log,
    /// Whether the drop is not noted: the original of an argument that is cloned.
    is_silent: bool,
}

impl Noted {
    /// Another value with the same log.
    fn other(&self, name: &'static str) -> Self {
        let log = Arc::clone(&self.log);
        let is_silent = false;
        Self {
            name,
            log,
            is_silent,
        }
    }

    /// Borrows from the value, so that a temporary lives as long as what is returned.
    fn nothing(&self) -> Option<&str> {
        self.name.strip_prefix("nothing")
    }

    fn note(&self, what: &'static str) {
        self.log.lock().unwrap().push(what);
    }
}

impl Clone for Noted {
    fn clone(&self) -> Self {
        self.other(self.name)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if !self.is_silent {
            self.note(self.name);
        }
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Tail,
    Return,
    Question,
    Panic,
    /// Does not end. The future is dropped while it awaits.
    Pending,
    /// The future is dropped before it is polled.
    Unpolled,
}

#[derive(Clone, Debug)]
enum Failure {
    Own,
    Premier(#[allow(dead_code)] Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

type CallResult = Result<usize, Failure>;
type Boxed<'a> = Pin<Box<dyn Future<Output = CallResult> + Send + 'a>>;

/// Fails if the body is to end with `?`.
fn step(ending: Ending, with: &Noted) -> CallResult {
    match ending {
        Ending::Question => Err(Failure::Own),
        // Prints no message.
        Ending::Panic => resume_unwind(Box::new(())),
        _ => Ok(with.name.len()),
    }
}

async fn step_async(ending: Ending, with: &Noted) -> CallResult {
    if ending == Ending::Pending {
        std::future::pending::<()>().await;
    }
    step(ending, with)
}

#[derive(Clone)]
struct Service {
    _one: Noted,
    two: Noted,
    _three: Noted,
}

/// The arguments of all functions.
struct Arguments([Noted; 8], Ending);

enum Shape {
    Sync(fn(Arguments) -> CallResult),
    Async(fn(Arguments) -> Boxed<'static>),
}

/// A name, and how many arguments the function takes.
type Shapes = Vec<(&'static str, usize, Shape)>;

/// The body of a function with patterns for arguments. `$step` may end it.
macro_rules! body {
    ($first:ident $left:ident $by_ref:ident $changed:ident, $ending:expr, $step:expr) => {
        let _local = $first.other("local");
        $changed.note("old value");
        $changed = $left.other("new value");
        if let Some(_) = $by_ref.other("scrutinee").nothing() {
            unreachable!();
        } else {
            $by_ref.note("else");
        }
        if $ending == Ending::Return {
            return Ok($changed.other("returned temporary").name.len());
        }
        let _another = $changed.other("another");
        $step?;
    };
}

/// Functions of all shapes with these attributes.
macro_rules! shapes {
    ($module:ident |$ending:ident| $($attribute:tt)*) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $($attribute)*
            fn names(first: Noted, second: Noted, _third: Noted, $ending: Ending) -> CallResult {
                let _local = second.other("local");
                step($ending, &first.other("temporary"))?;
                if $ending == Ending::Return {
                    return Ok(second.other("returned temporary").name.len());
                }
                Ok(first.other("tail").name.len())
            }

            $($attribute)*
            fn patterns(
                first: Noted,
                (left, _): (Noted, Noted),
                _: Noted,
                ref by_ref: Noted,
                _unused: Noted,
                mut changed: Noted,
                last: Noted,
                $ending: Ending,
            ) -> CallResult {
                body!(first left by_ref changed, $ending, step($ending, &last.other("temporary")));
                Ok(last.other("tail").name.len())
            }

            $($attribute)*
            async fn names_async(first: Noted, second: Noted, _third: Noted, $ending: Ending) -> CallResult {
                let _local = second.other("local");
                step_async($ending, &first.other("temporary")).await?;
                if $ending == Ending::Return {
                    return Ok(second.other("returned temporary").name.len());
                }
                Ok(first.other("tail").name.len())
            }

            $($attribute)*
            async fn patterns_async(
                first: Noted,
                (left, _): (Noted, Noted),
                _: Noted,
                ref by_ref: Noted,
                _unused: Noted,
                mut changed: Noted,
                last: Noted,
                $ending: Ending,
            ) -> CallResult {
                body!(first left by_ref changed, $ending, step_async($ending, &last.other("temporary")).await);
                Ok(last.other("tail").name.len())
            }

            $($attribute)*
            fn future(
                first: Noted,
                (left, _): (Noted, Noted),
                _unused: Noted,
                mut changed: Noted,
                last: Noted,
                $ending: Ending,
            ) -> impl Future<Output = CallResult> + Send {
                let _local = first.other("local");
                changed.note("old value");
                changed = left.other("new value");
                let inside = changed.other("inside");
                async move {
                    let last = last;
                    step_async($ending, &inside).await?;
                    Ok(last.other("tail").name.len())
                }
            }

            $($attribute)*
            fn boxed(
                first: Noted,
                (left, _): (Noted, Noted),
                _unused: Noted,
                mut changed: Noted,
                last: Noted,
                $ending: Ending,
            ) -> Pin<Box<dyn Future<Output = CallResult> + Send>> {
                let _local = first.other("local");
                changed.note("old value");
                changed = left.other("new value");
                let inside = changed.other("inside");
                if $ending == Ending::Return {
                    return Box::pin(std::future::ready(Ok(inside.other("returned temporary").name.len())));
                }
                Box::pin(async move {
                    let last = last;
                    step_async($ending, &inside).await?;
                    Ok(last.other("tail").name.len())
                })
            }

            impl Service {
                $($attribute)*
                fn $module(self, first: Noted, (left, _): (Noted, Noted), $ending: Ending) -> CallResult {
                    step($ending, &self.two)?;
                    let _moved = self.two;
                    Ok(first.other("tail").name.len() + left.name.len())
                }
            }

            struct Remote(Noted);

            #[async_trait::async_trait]
            trait Call {
                async fn call(
                    self,
                    first: Noted,
                    (left, _): (Noted, Noted),
                    _unused: Noted,
                    mut changed: Noted,
                    last: Noted,
                    $ending: Ending,
                ) -> CallResult;
            }

            impl Clone for Remote {
                fn clone(&self) -> Self {
                    Self(self.0.clone())
                }
            }

            #[async_trait::async_trait]
            impl Call for Remote {
                $($attribute)*
                async fn call(
                    self,
                    first: Noted,
                    (left, _): (Noted, Noted),
                    _unused: Noted,
                    mut changed: Noted,
                    last: Noted,
                    $ending: Ending,
                ) -> CallResult {
                    let _local = first.other("local");
                    changed.note("old value");
                    changed = left.other("new value");
                    if $ending == Ending::Return {
                        return Ok(changed.other("returned temporary").name.len());
                    }
                    step_async($ending, &last.other("temporary")).await?;
                    Ok(self.0.other("tail").name.len())
                }
            }

            pub(super) fn all() -> Shapes {
                vec![
                    ("names", 3, Shape::Sync(|Arguments([a, b, c, ..], $ending)| names(a, b, c, $ending))),
                    ("patterns", 8, Shape::Sync(|Arguments([a, b, c, d, e, f, g, h], $ending)| {
                        patterns(a, (b, c), d, e, f, g, h, $ending)
                    })),
                    ("a method", 6, Shape::Sync(|Arguments([one, two, three, a, b, c, ..], $ending)| {
                        Service { _one: one, two, _three: three }.$module(a, (b, c), $ending)
                    })),
                    ("async names", 3, Shape::Async(|Arguments([a, b, c, ..], $ending)| {
                        Box::pin(names_async(a, b, c, $ending))
                    })),
                    ("async patterns", 8, Shape::Async(|Arguments([a, b, c, d, e, f, g, h], $ending)| {
                        Box::pin(patterns_async(a, (b, c), d, e, f, g, h, $ending))
                    })),
                    ("async_trait", 7, Shape::Async(|Arguments([a, b, c, d, e, f, g, ..], $ending)| {
                        Remote(a).call(b, (c, d), e, f, g, $ending)
                    })),
                    ("a future", 6, Shape::Async(|Arguments([a, b, c, d, e, f, ..], $ending)| {
                        Box::pin(future(a, (b, c), d, e, f, $ending))
                    })),
                    ("a boxed future", 6, Shape::Async(|Arguments([a, b, c, d, e, f, ..], $ending)| {
                        boxed(a, (b, c), d, e, f, $ending)
                    })),
                ]
            }
        }
    };
}

shapes!(bare |ending|);
shapes!(throttled |ending| #[throttle(rate = "1000000/s", key = ending as u8)]);
shapes!(retried |ending| #[retry(when = |_| false)]);
shapes!(timed |ending| #[timeout(60)]);
shapes!(cached |ending| #[cache(key = ending as u8)]);
shapes!(broken |ending| #[circuit_breaker(failures = 1000, key = ending as u8)]);
shapes!(concurrent |ending| #[concurrency(limit = 100, wait = "1m", key = ending as u8)]);
shapes!(once |ending|
    #[cache(key = ending as u8)]
    #[circuit_breaker(failures = 1000)]
    #[concurrency(limit = 100, wait = "1m", key = ending as u8)]
    #[timeout(60)]
    #[throttle(rate = "1000000/s")]);
shapes!(all_six |ending|
    #[cache(key = ending as u8)]
    #[retry(when = |_| false)]
    #[circuit_breaker(failures = 1000)]
    #[concurrency(limit = 100)]
    #[timeout(60)]
    #[throttle(rate = "1000000/s")]);

/// Calls the function and returns what it drops, in order. If it clones its `count` arguments, only the
/// clones are noted.
fn dropped(shape: &Shape, count: usize, ending: Ending, is_cloned: bool) -> Vec<&'static str> {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let log = Log::default();
    let argument = |index| Noted {
        name: NAMES[index],
        log: Arc::clone(&log),
        is_silent: is_cloned || index >= count,
    };
    let arguments = Arguments(std::array::from_fn(argument), ending);
    let call = AssertUnwindSafe(|| match shape {
        Shape::Sync(function) => drop(function(arguments)),
        Shape::Async(function) => {
            let mut future = function(arguments);
            let mut context = Context::from_waker(Waker::noop());
            if ending != Ending::Unpolled {
                let poll = future.as_mut().poll(&mut context);
                assert_eq!(poll.is_pending(), ending == Ending::Pending);
            }
        }
    });
    assert_eq!(catch_unwind(call).is_err(), ending == Ending::Panic);
    noted(&log)
}

fn noted(log: &Log) -> Vec<&'static str> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// Asserts that with every attribute, functions of these shapes drop what the bare ones do.
fn compare(ending: Ending, is_compared: fn(&str, &Shape) -> bool) {
    let attributes = [
        ("throttle", throttled::all(), false),
        ("retry", retried::all(), true),
        ("timeout", timed::all(), false),
        ("cache", cached::all(), false),
        ("circuit_breaker", broken::all(), false),
        ("concurrency", concurrent::all(), false),
        ("all but retry", once::all(), false),
        ("all six", all_six::all(), true),
    ];
    let mut differences = Vec::new();
    for (attribute, shapes, is_cloned) in attributes {
        for ((name, count, bare), (_, _, shape)) in bare::all().iter().zip(&shapes) {
            if is_compared(name, shape) {
                let expected = dropped(bare, *count, ending, false);
                // Before the first poll there is no clone.
                let is_cloned = is_cloned && ending != Ending::Unpolled;
                let seen = dropped(shape, *count, ending, is_cloned);
                if seen != expected {
                    differences.push(format!(
                        "{attribute}, {name}:\n  {expected:?} expected\n  {seen:?}"
                    ));
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{ending:?}\n{}",
        differences.join("\n")
    );
}

fn every(_: &str, _: &Shape) -> bool {
    true
}

#[test]
fn a_body_that_runs_to_its_end_drops_in_the_order_of_the_bare_function() {
    compare(Ending::Tail, every);
}

#[test]
fn an_early_return_drops_in_the_order_of_the_bare_function() {
    compare(Ending::Return, every);
}

#[test]
fn a_question_mark_drops_in_the_order_of_the_bare_function() {
    compare(Ending::Question, every);
}

#[test]
fn a_panic_drops_in_the_order_of_the_bare_function() {
    compare(Ending::Panic, every);
}

#[test]
fn a_future_that_is_dropped_while_it_awaits_drops_in_the_order_of_the_bare_function() {
    compare(Ending::Pending, |_, shape| matches!(shape, Shape::Async(_)));
}

/// What a function that is not async does before it returns its future happens at the first poll with an
/// attribute, so there is nothing to compare.
#[test]
fn a_future_that_is_never_polled_drops_in_the_order_of_the_bare_function() {
    compare(Ending::Unpolled, |name, _| name.starts_with("async"));
}
