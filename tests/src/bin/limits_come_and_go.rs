//! Prints how many kilobytes of this process are in memory: before, after 50,000 limits were made, asked and
//! dropped and what they owed has lapsed, and after 50,000 changes of one limit.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Limit, MemoryHandler, Throttle, limits};

const MANY: u64 = 50_000;
const MINUTE: Duration = Duration::from_secs(60);

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a line of it").parse().expect("a number")
}

fn main() {
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    let limit = Limit::token_bucket(2, MINUTE);
    let lasting = Throttle::new("lasting", limit).with_config(memory.clone());
    assert!(lasting.check("key").expect("a decision").allowed);
    println!("{}", resident_kilobytes());
    for tenant in 0..MANY {
        let throttle =
            Throttle::new(&format!("tenant-{tenant}"), limit).with_config(memory.clone());
        assert!(throttle.check("key").expect("a decision").allowed);
    }
    clock.advance(MINUTE);
    // Binding a limit removes the state of dropped limits. The state of this one has existed before.
    let again = Throttle::new("lasting", limit).with_config(memory.clone());
    assert!(again.check("key").expect("a decision").allowed);
    drop(again);
    assert_eq!(memory.keys(), 1);
    println!("{}", resident_kilobytes());
    for change in 0..MANY {
        limits::set("lasting", Limit::token_bucket(2 + change % 2, MINUTE)).expect("a limit");
    }
    println!("{}", resident_kilobytes());
}
