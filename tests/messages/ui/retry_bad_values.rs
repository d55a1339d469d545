use premier::{Error, retry};

#[retry(max = 0)]
fn no_attempt() -> Result<(), Error> {
    Ok(())
}

#[retry(factor = 0.5, jitter = "some", strategy = "random")]
fn shrinking() -> Result<(), Error> {
    Ok(())
}

#[retry(strategy = [], base = "5 parsecs", max_delay = -1)]
fn empty() -> Result<(), Error> {
    Ok(())
}

#[retry(on = Error::Timeout { .. }, when = |error| error.retry_after().is_some())]
fn both() -> Result<(), Error> {
    Ok(())
}

#[retry(when = |error, more| true, on_retry = |event| return)]
fn callbacks() -> Result<(), Error> {
    Ok(())
}

#[retry(tries = 3)]
fn unknown() -> Result<(), Error> {
    Ok(())
}

fn main() {}
// 11 mistakes
