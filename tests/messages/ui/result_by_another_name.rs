//! The name of the output says whether it is a `Result`, unless the argument `result` does.

use premier::{Error, circuit_breaker, retry, throttle, timeout};

struct SearchResult;

type Outcome = Result<u32, Error>;

#[throttle(rate = "1/s")]
fn a_struct() -> SearchResult {
    SearchResult
}

#[retry]
#[throttle(rate = "1/s")]
#[timeout(5)]
async fn a_struct_below_many() -> SearchResult {
    SearchResult
}

#[circuit_breaker(on_reject = |_| SearchResult)]
fn a_struct_with_a_breaker() -> SearchResult {
    SearchResult
}

#[throttle(rate = "1/s")]
fn an_alias() -> Outcome {
    Ok(1)
}

#[retry(result = 1)]
fn neither() -> Outcome {
    Ok(1)
}

#[retry(result)]
#[timeout(5, result = false)]
fn both() -> Outcome {
    Ok(1)
}

fn main() {}
// 6 mistakes
