//! Redis decides exactly as memory does.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Algo, Limit, MemoryHandler, Throttle};
use premier_conformance::Suite;
use premier_tests::redis::{Cluster, Server};
use proptest::prelude::*;

use super::ALL;

#[test]
fn a_single_node_decides_every_sequence_exactly() {
    let server = Server::start();
    let compared = Suite::new(|clock| server.builder().clock(clock).build().unwrap())
        .resolution(Duration::from_micros(1))
        .run();
    assert_eq!(compared, 59 * 60);
    server.assert_all_expire();
}

#[test]
fn a_cluster_decides_every_sequence_exactly() {
    let cluster = Cluster::start();
    let compared = Suite::new(|clock| cluster.builder().clock(clock).build().unwrap())
        .resolution(Duration::from_micros(1))
        .run();
    assert_eq!(compared, 59 * 60);
    cluster.nodes.iter().for_each(Server::assert_all_expire);
    let masters = cluster
        .nodes
        .iter()
        .filter(|node| !node.keys().is_empty())
        .count();
    assert!(masters >= 3, "the keys are spread");
}

/// Any valid limit, with periods in whole microseconds and between them.
fn limit() -> impl Strategy<Value = Limit> {
    let period = prop_oneof![1_000..3_000_u64, 1_000..=366 * 86_400 * 1_000_000_000_u64];
    (
        0..5_usize,
        period,
        any::<u64>(),
        prop::option::of(1..=1_u64 << 32),
    )
        .prop_map(|(algo, period, quota, size)| {
            let most = if ALL[algo] == Algo::SlidingLog {
                period.min(1_000)
            } else {
                period
            };
            let limit = Limit::new(ALL[algo], 1 + quota % most, Duration::from_nanos(period));
            match (ALL[algo], size) {
                (Algo::TokenBucket, Some(size)) => limit.burst(size),
                (Algo::LeakyBucket, Some(size)) => limit.bucket_size(size),
                _ => limit,
            }
        })
}

/// Random calls, refunds, charges and steps of the clock, made on both stores in the same order.
#[test]
fn memory_and_redis_decide_alike_for_every_valid_limit() {
    let server = Server::start();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    });
    let calls = prop::collection::vec((any::<u64>(), any::<u64>(), 0..10_u8), 1..30);
    let clock = ManualClock::new();
    let redis = server.builder().clock(clock.clone()).build().unwrap();
    let case = std::cell::Cell::new(0);
    runner
        .run(
            &(prop::collection::vec(limit(), 1..3), calls),
            |(limits, calls)| {
                case.set(case.get() + 1);
                // Redis computes with 53 bits. All cases together would pass 2^53 microseconds,
                // which is the year 2255, so each case starts at 0.
                clock.set(Duration::ZERO);
                let memory = MemoryHandler::builder().clock(clock.clone()).build();
                let memory = Throttle::all("case", &limits).with_config(memory);
                let name = format!("case-{}", case.get());
                let redis = Throttle::all(&name, &limits).with_config(redis.clone());
                let capacity = limits.iter().map(Limit::capacity).min().unwrap();
                let step = limits
                    .iter()
                    .map(|limit| limit.period().as_micros() as u64)
                    .min()
                    .unwrap();
                for (pause, cost, what) in calls {
                    clock.advance(Duration::from_micros(pause % step.max(2)));
                    let cost = cost % (capacity + 1);
                    if what == 0 {
                        memory.refund("k", cost).unwrap();
                        redis.refund("k", cost).unwrap();
                        continue;
                    }
                    if what == 1 {
                        for throttle in [&memory, &redis] {
                            let permit = throttle.cost(0).acquire("k").unwrap();
                            permit.settle(cost.saturating_mul(3)).unwrap();
                        }
                    }
                    let ours = memory.cost(cost).check("k").unwrap();
                    let theirs = redis.cost(cost).check("k").unwrap();
                    prop_assert_eq!(ours.allowed, theirs.allowed, "{:?} {:?}", ours, theirs);
                    prop_assert_eq!(ours.remaining, theirs.remaining);
                    for (ours, theirs) in [
                        (ours.retry_after, theirs.retry_after),
                        (ours.reset_after, theirs.reset_after),
                        (ours.delay, theirs.delay),
                    ] {
                        prop_assert!(ours <= theirs, "{:?} {:?}", ours, theirs);
                        prop_assert!(
                            theirs - ours < Duration::from_micros(1),
                            "{:?} {:?}",
                            ours,
                            theirs
                        );
                    }
                }
                Ok(())
            },
        )
        .unwrap();
    server.assert_all_expire();
}
