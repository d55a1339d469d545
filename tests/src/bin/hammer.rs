//! One of several processes that call one limit as fast as they can. Prints how many calls were
//! admitted.
//!
//! Arguments: URL, algorithm, quota, period in ms, seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::{Algo, Limit, RedisHandler, Throttle};
use premier_tests::waits::LONGEST;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, algo, quota, period, seconds] = arguments.as_slice() else {
        panic!("hammer URL ALGO QUOTA PERIOD_MS SECONDS");
    };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let algo: Algo = algo.parse().expect("an algorithm");
    let limit = Limit::new(algo, number(quota), Duration::from_millis(number(period)));
    let builder = RedisHandler::builder(url).timeout(LONGEST);
    let handler = builder.build().expect("a usable URL");
    let throttle = Throttle::new("hammer", limit).with_config(handler);
    let admitted = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(number(seconds));

    // Half of the callers are threads, half are tasks.
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (throttle, admitted) = (throttle.clone(), Arc::clone(&admitted));
            thread::spawn(move || {
                while Instant::now() < end {
                    if throttle.acquire("k").is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (throttle, admitted) = (throttle.clone(), Arc::clone(&admitted));
                tokio::spawn(async move {
                    while Instant::now() < end {
                        if throttle.acquire_async("k").await.is_ok() {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a task panicked");
        }
    });
    for thread in threads {
        thread.join().expect("a thread panicked");
    }
    println!("{}", admitted.load(Ordering::Relaxed));
}
