//! Closures and expressions as arguments raise no warning, with or without braces and parentheses.
#![forbid(unsafe_code)]
#![deny(warnings)]

use premier::{Error, retry, throttle};

#[derive(Debug, PartialEq)]
struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

#[throttle(rate = "1/h", keymaker = |n| { n.to_string() })]
fn braces(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[throttle(rate = "1/h", keymaker = |n| { let twice = n * 2; twice.to_string() })]
fn statements(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[throttle(rate = "1/h", keymaker = |n: &u32| -> u64 { (*n).into() })]
fn return_type(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[throttle(rate = "1/h", on_reject = |_| { 3 })]
fn substitute(n: u32) -> u32 {
    n
}

#[throttle(rate = "1/h", on_reject = |_| -> u32 { 3 })]
fn typed_substitute(n: u32) -> u32 {
    n
}

#[retry(max = 2, base = 0, when = |error| { error.0.is_empty() }, on_retry = |event| { assert!(event.delay.is_zero()) })]
fn predicate(calls: &mut u32) -> Result<u32, Failure> {
    *calls += 1;
    Err(Failure(String::new()))
}

#[retry(max = 2, base = 0, when = |error: &Failure| -> bool { error.0.is_empty() }, on_retry = |_| ())]
fn typed_predicate(calls: &mut u32) -> Result<u32, Failure> {
    *calls += 1;
    Err(Failure(String::new()))
}

#[throttle(algo = "token_bucket", rate = "3/h", key = { n }, cost = { n })]
fn expressions_in_braces(n: u64) -> Result<u64, Failure> {
    Ok(n)
}

#[throttle(algo = "token_bucket", rate = "3/h", key = (n), cost = (n))]
fn expressions_in_parentheses(n: u64) -> Result<u64, Failure> {
    Ok(n)
}

#[test]
fn a_key_by_a_closure_is_its_value() {
    type Call = fn(u32) -> Result<u32, Failure>;
    let calls: [Call; 3] = [braces, statements, return_type];
    for call in calls {
        assert_eq!(call(1), Ok(1));
        assert_eq!(call(2), Ok(2));
        assert!(call(1).is_err());
    }
}

#[test]
fn a_substitute_is_the_value_of_its_closure() {
    assert_eq!([substitute(1), substitute(1)], [1, 3]);
    assert_eq!([typed_substitute(1), typed_substitute(1)], [1, 3]);
}

#[test]
fn a_predicate_decides_whatever_its_form() {
    let mut calls = 0;
    assert!(predicate(&mut calls).is_err() && typed_predicate(&mut calls).is_err());
    assert_eq!(calls, 4);
}

#[test]
fn a_key_and_a_cost_may_be_in_braces_or_parentheses() {
    type Call = fn(u64) -> Result<u64, Failure>;
    let calls: [Call; 2] = [expressions_in_braces, expressions_in_parentheses];
    for call in calls {
        assert_eq!(call(2), Ok(2));
        assert!(call(2).is_err());
    }
}

#[retry(max = 2, base = 0, on_retry = |event| tracing::warn!(error = ?event.error, %event.attempt, "retrying"))]
fn sigils_of_tracing(calls: &mut u32) -> Result<u32, Failure> {
    *calls += 1;
    Err(Failure(String::new()))
}

#[test]
fn a_sigil_in_a_macro_is_not_a_question_mark_operator() {
    let mut calls = 0;
    assert!(sigils_of_tracing(&mut calls).is_err());
    assert_eq!(calls, 2);
}

#[throttle(rate = "2/h")]
fn quiet_arguments(
    #[allow(unused_variables)] (first, second): (u32, u32),
    #[allow(unused_mut)] mut third: u32,
) -> Result<u32, Failure> {
    Ok(third)
}

#[test]
fn lint_attributes_of_arguments_keep_working() {
    assert_eq!(quiet_arguments((1, 2), 3), Ok(3));
}
