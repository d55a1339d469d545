//! A leaky bucket is a queue: calls run at an even pace, whatever the pace of their arrival, and a
//! call that finds the queue full is rejected at once.

use std::thread;
use std::time::Instant;

use premier::{Error, throttle};

/// One call every 100 ms; up to 3 calls wait.
#[throttle(algo = "leaky_bucket", rate = "10/s", bucket_size = 3)]
fn print(page: u32) -> Result<u32, Error> {
    Ok(page)
}

/// One call every 100 ms; up to 3 calls wait. While an async call waits, its thread is free.
#[throttle(algo = "leaky_bucket", rate = "10/s", bucket_size = 3)]
async fn send(message: u32) -> Result<u32, Error> {
    Ok(message)
}

#[tokio::main]
async fn main() {
    println!("5 threads print at once: one runs, 3 wait, one is rejected.");
    let start = Instant::now();
    thread::scope(|scope| {
        for page in 1..=5 {
            scope.spawn(move || report("page", start, print(page)));
        }
    });

    println!("5 tasks send at once:");
    let start = Instant::now();
    let tasks: Vec<_> = (1..=5)
        .map(|message| tokio::spawn(async move { report("message", start, send(message).await) }))
        .collect();
    for task in tasks {
        task.await.expect("a task panicked");
    }
}

fn report(item: &str, start: Instant, outcome: Result<u32, Error>) {
    let elapsed = start.elapsed().as_millis();
    match outcome {
        Ok(number) => println!("  {elapsed:>3} ms  {item} {number} is done"),
        Err(Error::BucketFull { retry_after, .. }) => {
            println!("  {elapsed:>3} ms  the queue is full for another {retry_after:.0?}");
        }
        Err(error) => println!("  {elapsed:>3} ms  {error}"),
    }
}
