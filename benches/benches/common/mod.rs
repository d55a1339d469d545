//! Limits, keys and groups that several benches use.

use std::num::NonZeroU32;
use std::time::Duration;

use benches::keyless;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use governor::{Quota, RateLimiter};
use premier::{Limit, Throttle};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// The units that a bucket in use can give: more than any run takes.
const PLENTY: u32 = u32::MAX;
const KEYS: usize = 10_000;

pub(crate) fn per_second() -> Quota {
    Quota::per_second(NonZeroU32::new(1_000_000_000).expect("not zero"))
}

pub(crate) fn in_use() -> Quota {
    Quota::with_period(SECOND)
        .expect("not zero")
        .allow_burst(NonZeroU32::new(PLENTY).expect("not zero"))
}

pub(crate) fn names() -> Vec<String> {
    (0..KEYS).map(|key| format!("user-{key:08}")).collect()
}

/// Numbers of keys, in an order that the processor cannot predict.
pub(crate) fn turns() -> impl FnMut() -> usize {
    let mut next = 0;
    move || {
        next = (next + 7_919) % KEYS;
        next
    }
}

pub(crate) fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(50);
    group
}

/// The limit as a `Throttle`, which returns a whole decision for each call.
fn throttle(name: &str) -> Throttle {
    Throttle::new(name, Limit::token_bucket(1_000_000_000, SECOND))
}

/// A token bucket that is not full.
pub(crate) fn bucket_in_use(criterion: &mut Criterion, name: &str) {
    let mut group = group(criterion, name);
    let governor = RateLimiter::direct(in_use());
    group.bench_function("governor", |bench| bench.iter(|| governor.check().is_ok()));
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::in_use().is_ok());
    });
    group.finish();
}

/// Keys that are texts; `others` adds rows of peers.
pub(crate) fn by_text(
    criterion: &mut Criterion,
    name: &str,
    others: impl FnOnce(&mut BenchmarkGroup<'_, WallTime>, &[String]),
) {
    let (names, mut turn) = (names(), turns());
    let mut group = group(criterion, name);
    let governor = RateLimiter::keyed(per_second());
    group.bench_function("governor, Strings ready made", |bench| {
        bench.iter(|| governor.check_key(&names[turn()]).is_ok());
    });
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::by_text(&names[turn()]).is_ok());
    });
    let throttle = throttle(name);
    group.bench_function("premier Throttle", |bench| {
        bench.iter(|| throttle.check(&names[turn()]).is_ok());
    });
    others(&mut group, &names);
    group.finish();
}

pub(crate) fn by_number(criterion: &mut Criterion, name: &str) {
    let mut turn = turns();
    let mut group = group(criterion, name);
    let governor = RateLimiter::keyed(per_second());
    group.bench_function("governor", |bench| {
        bench.iter(|| governor.check_key(&(turn() as u64)).is_ok());
    });
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::by_number(turn() as u64).is_ok());
    });
    let throttle = throttle(name);
    group.bench_function("premier Throttle", |bench| {
        bench.iter(|| throttle.check(&(turn() as u64)).is_ok());
    });
    group.finish();
}
