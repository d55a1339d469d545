//! A leaky bucket is a queue: calls run at an even pace however they come, and one too many is
//! turned away at once.

use std::thread;
use std::time::Instant;

use premier::{Error, throttle};

/// One print each 100 ms; 3 may wait.
#[throttle(algo = "leaky_bucket", rate = "10/s", bucket_size = 3)]
fn print(page: u32) -> Result<u32, Error> {
    Ok(page)
}

/// The same for async callers: the task waits, the thread is free.
#[throttle(algo = "leaky_bucket", rate = "10/s", bucket_size = 3)]
async fn send(message: u32) -> Result<u32, Error> {
    Ok(message)
}

#[tokio::main]
async fn main() {
    println!("5 threads print at once: one runs, 3 wait, one is turned away.");
    let start = Instant::now();
    thread::scope(|scope| {
        for page in 1..=5 {
            scope.spawn(move || tell("page", start, print(page)));
        }
    });

    println!("5 tasks send at once:");
    let start = Instant::now();
    let tasks: Vec<_> = (1..=5)
        .map(|message| tokio::spawn(async move { tell("message", start, send(message).await) }))
        .collect();
    for task in tasks {
        task.await.expect("a task panicked");
    }
}

fn tell(what: &str, start: Instant, outcome: Result<u32, Error>) {
    let elapsed = start.elapsed().as_millis();
    match outcome {
        Ok(number) => println!("  {elapsed:>3} ms  {what} {number} is out"),
        Err(Error::BucketFull { retry_after, .. }) => {
            println!("  {elapsed:>3} ms  the queue is full for another {retry_after:.0?}");
        }
        Err(error) => println!("  {elapsed:>3} ms  {error}"),
    }
}
