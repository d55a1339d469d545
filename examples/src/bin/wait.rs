//! Waiting to be admitted: as long as it takes, or only so long, and always in line.

use std::thread;
use std::time::{Duration, Instant};

use premier::{Error, throttle};

/// Waits as long as it takes.
#[throttle(algo = "token_bucket", quota = 1, duration = "100ms", wait)]
fn patient(who: u32) -> Result<u32, Error> {
    Ok(who)
}

/// Waits for at most 200 ms.
#[throttle(algo = "token_bucket", quota = 1, duration = "500ms", wait = "200ms")]
fn hurried() -> Result<(), Error> {
    Ok(())
}

fn main() -> Result<(), Error> {
    println!("One call per 100 ms, and each caller waits. They are served in the order they came:");
    let start = Instant::now();
    thread::scope(|scope| {
        for caller in 1..=5 {
            scope.spawn(move || match patient(caller) {
                Ok(who) => println!("  {:>3} ms  caller {who}", start.elapsed().as_millis()),
                Err(error) => println!("  {error}"),
            });
            // So that there is an order.
            thread::sleep(Duration::from_millis(10));
        }
    });

    println!("One call per 500 ms, and callers wait for at most 200 ms:");
    hurried()?;
    println!("  the first is admitted at once");
    let start = Instant::now();
    if let Err(error) = hurried() {
        println!(
            "  the second would wait too long and knows after {:.0?}: {error}",
            start.elapsed()
        );
    }
    thread::sleep(Duration::from_millis(350));
    let start = Instant::now();
    hurried()?;
    println!(
        "  350 ms later one waits for {} ms and is admitted",
        start.elapsed().as_millis()
    );
    Ok(())
}
