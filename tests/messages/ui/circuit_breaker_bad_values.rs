use premier::{Error, circuit_breaker};

#[circuit_breaker(failures = 0, half_open = -1, within = "0s", open_for = "long")]
fn zero() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(threshold = 1)]
fn unknown() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(on_reject = |_| 0)]
fn number() -> u32 {
    1
}

fn main() {}
// 6 mistakes
