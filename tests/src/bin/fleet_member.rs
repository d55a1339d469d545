//! One process of a fleet that shares limits over Redis. It calls one limit of each algorithm with several
//! tasks and prints a line for each admission at once, so that the admissions of a killed process are known.
//!
//! Arguments: URL, quota per second, seconds.

use std::io::Write;
use std::time::{Duration, Instant};

use premier::{Algo, Limit, RedisHandler, Throttle};
use premier_tests::waits::LONGEST;

const TASKS: usize = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, quota, seconds] = arguments.as_slice() else {
        panic!("fleet_member URL QUOTA SECONDS");
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let builder = RedisHandler::builder(url).timeout(LONGEST);
    let handler = builder.build().expect("a usable URL");
    // Connecting is not part of the time in which the process calls.
    handler.ping_async().await.expect("a running server");
    let end = Instant::now() + Duration::from_secs(number(seconds));
    let mut tasks = Vec::new();
    for algo in [
        Algo::TokenBucket,
        Algo::FixedWindow,
        Algo::SlidingWindow,
        Algo::SlidingLog,
    ] {
        let limit = Limit::new(algo, number(quota), Duration::from_secs(1));
        let throttle = Throttle::new(&format!("fleet-{algo}"), limit).with_config(handler.clone());
        for _ in 0..TASKS {
            let throttle = throttle.clone();
            tasks.push(tokio::spawn(async move {
                while Instant::now() < end {
                    match throttle.check_async("k").await {
                        Ok(decision) if decision.allowed => {
                            let mut output = std::io::stdout().lock();
                            writeln!(output, "{algo}").expect("a reader");
                        }
                        // Denied, or the connection was killed: others may run.
                        Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(4)).await,
                    }
                }
            }));
        }
    }
    for task in tasks {
        task.await.expect("a task panicked");
    }
}
