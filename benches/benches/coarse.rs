//! premier with `CoarseClock` beside governor: apart, for a process is configured once.

mod common;

use benches::{keyless, ready};
use common::{group, in_use, names, per_second, turns};
use criterion::{Criterion, criterion_group, criterion_main};
use governor::RateLimiter;
use premier::MemoryHandler;
use premier::clock::CoarseClock;

fn without_keys(criterion: &mut Criterion) {
    let coarse = MemoryHandler::builder().clock(CoarseClock).build();
    premier::config(coarse).expect("the first");

    let mut group = group(
        criterion,
        "F keyless by a coarse clock, the bucket stays full",
    );
    let governor = RateLimiter::direct(per_second());
    group.bench_function("governor", |bench| bench.iter(|| governor.check().is_ok()));
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::full().is_ok());
    });
    group.bench_function("premier async", |bench| {
        bench.iter(|| ready(keyless::full_async()).is_ok());
    });
    group.bench_function("premier fixed_window", |bench| {
        bench.iter(|| keyless::fixed_window().is_ok());
    });
    group.bench_function("premier sliding_window", |bench| {
        bench.iter(|| keyless::sliding_window().is_ok());
    });
    group.finish();

    let mut group = self::group(
        criterion,
        "G keyless by a coarse clock, the bucket is in use",
    );
    let governor = RateLimiter::direct(in_use());
    group.bench_function("governor", |bench| bench.iter(|| governor.check().is_ok()));
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::in_use().is_ok());
    });
    group.finish();
}

fn keyed(criterion: &mut Criterion) {
    let (names, mut turn) = (names(), turns());
    let mut group = group(criterion, "H keyed by text, 10,000 keys, coarse clock");
    let governor = RateLimiter::keyed(per_second());
    group.bench_function("governor, Strings ready made", |bench| {
        bench.iter(|| governor.check_key(&names[turn()]).is_ok());
    });
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::by_text(&names[turn()]).is_ok());
    });
    group.finish();

    let mut group = self::group(criterion, "I keyed by u64, 10,000 keys, coarse clock");
    let governor = RateLimiter::keyed(per_second());
    group.bench_function("governor", |bench| {
        bench.iter(|| governor.check_key(&(turn() as u64)).is_ok());
    });
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::by_number(turn() as u64).is_ok());
    });
    group.finish();
}

criterion_group!(groups, without_keys, keyed);
criterion_main!(groups);
