//! Calls that wait until they are admitted, with and without a maximum wait, in order of arrival.

use std::thread;
use std::time::{Duration, Instant};

use premier::{Error, throttle};

/// Waits without a maximum.
#[throttle(algo = "token_bucket", quota = 1, duration = "100ms", wait)]
fn patient(caller: u32) -> Result<u32, Error> {
    Ok(caller)
}

/// Waits for at most 200 ms.
#[throttle(algo = "token_bucket", quota = 1, duration = "500ms", wait = "200ms")]
fn hurried() -> Result<(), Error> {
    Ok(())
}

fn main() -> Result<(), Error> {
    println!("One call per 100 ms; each caller waits, in order of arrival:");
    let start = Instant::now();
    thread::scope(|scope| {
        for caller in 1..=5 {
            scope.spawn(move || match patient(caller) {
                Ok(caller) => println!("  {:>3} ms  caller {caller}", start.elapsed().as_millis()),
                Err(error) => println!("  {error}"),
            });
            // Makes the order of arrival certain.
            thread::sleep(Duration::from_millis(10));
        }
    });

    println!("One call per 500 ms, and callers wait for at most 200 ms:");
    hurried()?;
    println!("  the first call is admitted at once");
    let start = Instant::now();
    if let Err(error) = hurried() {
        println!(
            "  the second call would wait too long and is rejected after {:.0?}: {error}",
            start.elapsed()
        );
    }
    thread::sleep(Duration::from_millis(350));
    let start = Instant::now();
    hurried()?;
    println!(
        "  350 ms later, a call waits for {} ms and is admitted",
        start.elapsed().as_millis()
    );
    Ok(())
}
