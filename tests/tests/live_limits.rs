//! A live limit takes little memory, because a program may have one for each of many tenants.
#![forbid(unsafe_code)]

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Algo, Limit, MemoryHandler, Throttle};

const COUNT: u64 = 10_000;

/// In bytes, with all features. Without `metrics`, `tracing` and `dashboard` a limit takes less.
const MOST: u64 = 1_200;

/// The bytes that each limit made by `make` takes after a decision about one key.
fn bytes_each(make: impl Fn(&str) -> Throttle) -> u64 {
    let mut live = Vec::with_capacity(COUNT as usize);
    let kept = allocation_counter::measure(|| {
        for tenant in 0..COUNT {
            let throttle = make(&format!("tenant-{tenant}"));
            assert!(throttle.check("key").unwrap().allowed);
            live.push(throttle);
        }
    });
    kept.bytes_current.unsigned_abs() / COUNT
}

#[test]
fn a_limit_of_any_algorithm_with_one_key_takes_little() {
    let memory = MemoryHandler::builder().clock(ManualClock::new()).build();
    premier::config(memory).unwrap();
    let mut sizes = Vec::new();
    for algo in [
        Algo::TokenBucket,
        Algo::LeakyBucket,
        Algo::FixedWindow,
        Algo::SlidingWindow,
    ] {
        let limit = Limit::new(algo, 2, Duration::from_secs(60));
        let bytes = bytes_each(|tenant| Throttle::new(&format!("{algo} of {tenant}"), limit));
        sizes.push((algo, bytes));
    }
    println!("{sizes:?}");
    assert!(sizes.iter().all(|(_, bytes)| *bytes < MOST), "{sizes:?}");
}

#[test]
fn a_limit_with_a_configuration_of_its_own_takes_little_more() {
    let memory = MemoryHandler::builder().clock(ManualClock::new()).build();
    let limit = Limit::token_bucket(2, Duration::from_secs(60));
    let bytes = bytes_each(|tenant| Throttle::new(tenant, limit).with_config(memory.clone()));
    println!("{bytes} bytes");
    assert!(bytes < MOST + 160, "{bytes} bytes");
}
