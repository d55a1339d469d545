#![deny(unused_must_use)]

use premier::{Error, Throttle};

fn log_in(throttle: &Throttle) -> Result<(), Error> {
    throttle.check("alice")?;
    Ok(())
}

/// Dropping a permit is no mistake: the call was admitted, and its units stay taken.
fn log_in_by_a_permit(throttle: &Throttle) -> Result<(), Error> {
    throttle.acquire("alice")?;
    Ok(())
}

fn main() {}
