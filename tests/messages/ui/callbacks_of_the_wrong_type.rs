use premier::{Error, circuit_breaker, retry, throttle, timeout};

fn of_text(text: &str) -> String {
    text.to_owned()
}

fn of_two(a: &u32, b: &u32) -> u32 {
    a + b
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

fn number(error: &Error) -> u32 {
    u32::from(matches!(error, Error::Timeout { .. }))
}

#[throttle(rate = "1/s", keymaker = of_text)]
fn keymaker(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[throttle(rate = "1/s", keymaker = of_two)]
fn keymaker_of_two(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[retry(when = is_empty)]
fn when(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[circuit_breaker(when = number)]
fn when_number(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[retry(on_retry = of_text)]
fn on_retry(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[timeout(1, on_reject = number)]
fn on_reject(n: u32) -> u32 {
    n
}

#[throttle(rate = "1/s", on_reject = of_two)]
async fn on_reject_of_two(n: u32) -> u32 {
    n
}

fn main() {}
// 7 mistakes
