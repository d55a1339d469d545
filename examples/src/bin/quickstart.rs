//! The shortest way to see real limits at work: no set-up, everything in this process.

use std::time::{Duration, Instant};

use premier::{Error, throttle};

/// Three calls per second, for everybody together.
#[throttle(algo = "token_bucket", quota = 3, duration = "1s")]
fn greet(name: &str) -> Result<String, Error> {
    Ok(format!("hello, {name}"))
}

/// Two calls per second for each user; it says so instead of failing.
#[throttle(quota = 2, duration = "1s", key = user, on_reject = |error| format!("refused: {error}"))]
async fn profile(user: &str) -> String {
    format!("the profile of {user}")
}

/// One call each 100 ms: whoever comes too early waits for a slot.
#[throttle(algo = "leaky_bucket", rate = "10/s")]
fn tick() {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    println!("A token bucket of 3 per second, asked 5 times at once:");
    let mut wait = Duration::ZERO;
    for attempt in 1..=5 {
        match greet("world") {
            Ok(greeting) => println!("  call {attempt}: {greeting}"),
            Err(error) => {
                wait = error.retry_after().unwrap_or_default();
                println!("  call {attempt}: {error}");
            }
        }
    }

    println!("As told, {wait:.0?} later there is one token more:");
    std::thread::sleep(wait);
    println!("  call 6: {}", greet("world")?);

    println!("Two calls per second for each user; alice asks three times, bob once:");
    for user in ["alice", "alice", "alice", "bob"] {
        println!("  {user}: {}", profile(user).await);
    }

    println!("A leaky bucket runs five calls 100 ms apart:");
    let start = Instant::now();
    for call in 1..=5 {
        tick()?;
        println!(
            "  call {call} ran after {:>3} ms",
            start.elapsed().as_millis()
        );
    }
    Ok(())
}
