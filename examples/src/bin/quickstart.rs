//! Limits of three kinds, in one process and without any setup.

use std::thread;
use std::time::{Duration, Instant};

use premier::{Error, throttle};

/// Three calls per second. All callers share this limit.
#[throttle(algo = "token_bucket", quota = 3, duration = "1s")]
fn greet(name: &str) -> Result<String, Error> {
    Ok(format!("hello, {name}"))
}

/// Two calls per second for each user. A rejected call returns a message instead of an error.
#[throttle(quota = 2, duration = "1s", key = user, on_reject = |error| format!("rejected: {error}"))]
async fn profile(user: &str) -> String {
    format!("the profile of {user}")
}

/// One call every 100 ms. A call that comes too early waits for its turn; meanwhile its thread is
/// free.
#[throttle(algo = "leaky_bucket", rate = "10/s")]
async fn send(message: u32) -> Result<u32, Error> {
    Ok(message)
}

fn main() -> Result<(), Error> {
    sync_calls()?;
    async_calls()
}

fn sync_calls() -> Result<(), Error> {
    println!("A token bucket of 3 per second, called 5 times at once:");
    let mut wait = Duration::ZERO;
    for call in 1..=5 {
        match greet("world") {
            Ok(greeting) => println!("  call {call}: {greeting}"),
            Err(error) => {
                wait = error.retry_after().unwrap_or_default();
                println!("  call {call}: {error}");
            }
        }
    }

    println!("The error says when to retry: after {wait:.0?} there is one more token.");
    thread::sleep(wait);
    println!("  call 6: {}", greet("world")?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn async_calls() -> Result<(), Error> {
    println!("Two calls per second for each user; alice calls three times, bob once:");
    for user in ["alice", "alice", "alice", "bob"] {
        println!("  {user}: {}", profile(user).await);
    }

    println!("A leaky bucket runs five tasks 100 ms apart:");
    let start = Instant::now();
    let tasks: Vec<_> = (1..=5)
        .map(|message| {
            tokio::spawn(async move {
                send(message).await?;
                let elapsed = start.elapsed().as_millis();
                println!("  message {message} was sent after {elapsed:>3} ms");
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task panicked")?;
    }
    Ok(())
}
