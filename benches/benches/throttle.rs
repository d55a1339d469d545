//! What an admitted and a denied call cost, by algorithm.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use premier::{Algo, Limit, Throttle, throttle};

#[throttle(algo = "token_bucket", rate = "1000000000/s")]
fn annotated(value: u64) -> Result<u64, premier::Error> {
    Ok(value)
}

fn throttles(criterion: &mut Criterion) {
    criterion.bench_function("annotated, keyless", |bench| {
        bench.iter(|| annotated(black_box(1)));
    });
    let second = Duration::from_secs(1);
    for algo in [
        Algo::FixedWindow,
        Algo::SlidingWindow,
        Algo::TokenBucket,
        Algo::LeakyBucket,
    ] {
        let open = Throttle::new("open", Limit::new(algo, 1_000_000_000, second));
        criterion.bench_function(&format!("{algo}, admitted"), |bench| {
            bench.iter(|| open.check(black_box("alice")));
        });
        let shut = Throttle::new("shut", Limit::new(algo, 1, 1_000_000 * second));
        criterion.bench_function(&format!("{algo}, denied"), |bench| {
            bench.iter(|| shut.check(black_box("alice")));
        });
    }
}

criterion_group!(benches, throttles);
criterion_main!(benches);
