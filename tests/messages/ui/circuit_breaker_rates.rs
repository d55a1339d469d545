use premier::{Error, circuit_breaker};

#[circuit_breaker(failure_rate = 0, slow_rate = 1.5, minimum_calls = 0)]
fn out_of_range() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(failure_rate = -0.5, slow_rate = "80%", slow = "0s", open_for_max = "long")]
fn of_another_kind() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(failures = 5, failure_rate = 0.5)]
fn both() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(failures = 5, minimum_calls = 20)]
fn no_rate() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(failures = 5, minimum_calls = 20, slow_rate = 0.5)]
fn a_rate_of_slow_calls() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(failure_rate = "x".len())]
fn a_number_of_the_wrong_type() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(open_for = "2m", open_for_max = "1m")]
fn shorter() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(open_for_max = "10s")]
fn shorter_than_the_default() -> Result<(), Error> {
    Ok(())
}

fn main() {}
// 12 mistakes
