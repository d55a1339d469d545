//! One limit for several processes: each counts its admitted calls, and the sum stays within the
//! quota.
//!
//! `redis_fleet [URL]` starts four workers on the Redis at URL (default: redis://127.0.0.1/).

use std::env;
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use premier::{Config, RedisHandler, throttle};

const WORKERS: u32 = 4;
const QUOTA: u64 = 50;
const SECONDS: u64 = 3;

/// Fifty calls per second. All processes share this limit.
#[throttle(algo = "token_bucket", quota = QUOTA, duration = "1s")]
fn call() {}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments
        .next()
        .unwrap_or_else(|| "redis://127.0.0.1/".to_owned());
    match arguments.next() {
        Some(keyspace) => work(&url, &keyspace),
        None => lead(&url),
    }
}

fn work(url: &str, keyspace: &str) -> Result<(), Box<dyn Error>> {
    premier::config(Config::new(RedisHandler::connect(url)?).keyspace(keyspace))?;
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let mut admitted = 0;
    while Instant::now() < end {
        match call() {
            Ok(()) => admitted += 1,
            Err(premier::Error::QuotaExceeded { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    println!("{admitted}");
    Ok(())
}

fn lead(url: &str) -> Result<(), Box<dyn Error>> {
    RedisHandler::connect(url)?.ping()?;
    // Each run has its own keyspace, so that it starts with a full bucket.
    let keyspace = format!("fleet-{}", std::process::id());
    println!("{WORKERS} processes share {QUOTA} calls per second for {SECONDS} s:");
    let workers = (0..WORKERS)
        .map(|_| {
            Command::new(env::current_exe()?)
                .args([url, &keyspace])
                .stdout(Stdio::piped())
                .spawn()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut total: u64 = 0;
    for (index, worker) in workers.into_iter().enumerate() {
        let output = worker.wait_with_output()?;
        let admitted: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
        println!("  process {}: {admitted} calls", index + 1);
        total += admitted;
    }
    let quota = QUOTA * SECONDS;
    println!("together: {total} calls; the quota is {quota} and {QUOTA} from the full bucket");
    Ok(())
}
