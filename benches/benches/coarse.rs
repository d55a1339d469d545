//! premier with `CoarseClock` beside governor. A program of its own, because a process is configured
//! once.

mod common;

use benches::{keyless, ready};
use common::{bucket_in_use, by_number, by_text, group, per_second};
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

    bucket_in_use(
        criterion,
        "G keyless by a coarse clock, the bucket is in use",
    );
}

fn keyed(criterion: &mut Criterion) {
    by_text(
        criterion,
        "H keyed by text, 10,000 keys, coarse clock",
        |_, _| (),
    );
    by_number(criterion, "I keyed by u64, 10,000 keys, coarse clock");
}

criterion_group!(groups, without_keys, keyed);
criterion_main!(groups);
