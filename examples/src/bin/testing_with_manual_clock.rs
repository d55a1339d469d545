//! Testing throttled code with a clock that only the test moves: an hour of waiting takes no time, and
//! the result does not depend on the speed of the machine.

use std::thread;
use std::time::{Duration, Instant};

use premier::clock::ManualClock;
use premier::{Error, MemoryHandler, throttle};

/// The function under test: one report per hour; further callers wait.
#[throttle(quota = 1, duration = "1h", wait)]
fn report(number: u32) -> Result<u32, Error> {
    Ok(number)
}

fn main() -> Result<(), Error> {
    let clock = ManualClock::new();
    premier::config(MemoryHandler::builder().clock(clock.clone()).build())?;
    let start = Instant::now();

    assert_eq!(report(1)?, 1);
    println!("The first report is made at once.");

    let second = thread::spawn(|| report(2));
    // Returns when the other thread sleeps on the clock, so there is no race.
    clock.wait_for_sleepers(1);
    println!("The second one waits.");

    let almost = Duration::from_secs(3600) - Duration::from_nanos(1);
    clock.advance(almost);
    clock.wait_for_sleepers(1);
    assert!(!second.is_finished());
    println!("It still waits after {almost:?}.");

    clock.advance(Duration::from_nanos(1));
    assert_eq!(second.join().expect("the second report panicked")?, 2);
    println!(
        "One nanosecond later it is made. The test took {:.0?}.",
        start.elapsed()
    );
    Ok(())
}
