//! premier and its peers, one thread and two, admitted and denied. `benches/run` makes the table.
//!
//! A group is a kind of call, and a name in it a library. `FIRST` in `bin/results.rs` says with which
//! library the others are compared.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use backon::{BlockingRetryable, ExponentialBuilder, Retryable};
use benches::{guarded, keyless, ready, retried};
use cached::macros::{cached, concurrent_cached};
use common::{SECOND, bucket_in_use, by_number, by_text, group, in_use, names, per_second, turns};
use criterion::{Criterion, criterion_group, criterion_main};
use governor::{Quota, RateLimiter};
use tower::{Service, ServiceExt};

/// `throttle_my_fn` expects its attribute in scope.
mod peer_attribute {
    use std::time::Duration;
    use throttle_my_fn::throttle;

    #[throttle(1_000, Duration::from_nanos(1))]
    pub(super) fn open() {}
}

#[cached(max_size = 100_000)]
fn cached_by_cached(key: u64) -> u64 {
    key + 1
}

#[concurrent_cached(max_size = 100_000)]
fn cached_by_sharded(key: u64) -> u64 {
    key + 1
}

#[cached(max_size = 100_000, key = "String", convert = r#"{ key.to_owned() }"#)]
fn cached_by_cached_text(key: &str) -> u64 {
    key.len() as u64
}

/// The parts of which a limiter is made, each by itself and together.
fn parts(criterion: &mut Criterion) {
    let mut group = group(criterion, "0 the parts");
    let clock = quanta::Clock::new();
    let tick = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    let word = AtomicU64::new(0);
    let raise = |to: u64| {
        let seen = word.load(Ordering::Relaxed);
        let to = seen.max(to) + 1;
        word.compare_exchange_weak(seen, to, Ordering::Relaxed, Ordering::Relaxed)
    };
    let (lock, hasher) = (Mutex::new(0_u64), ahash::RandomState::new());
    group.bench_function("the counter", |bench| bench.iter(|| clock.raw()));
    group.bench_function("the last tick", |bench| bench.iter(tick));
    group.bench_function("a swap", |bench| bench.iter(|| raise(0)));
    group.bench_function("the counter and a swap", |bench| {
        bench.iter(|| raise(clock.raw()));
    });
    group.bench_function("the last tick and a swap", |bench| {
        bench.iter(|| raise(tick()));
    });
    group.bench_function("a lock", |bench| {
        bench.iter(|| *lock.lock().expect("no panic") += 1);
    });
    group.bench_function("the counter and a lock", |bench| {
        bench.iter(|| *lock.lock().expect("no panic") += clock.raw());
    });
    group.bench_function("the hash of a text of 13 bytes", |bench| {
        bench.iter(|| hasher.hash_one(black_box("user-00000001").as_bytes()));
    });
    group.finish();
}

fn without_keys(criterion: &mut Criterion) {
    let mut group = group(criterion, "1 keyless, the bucket stays full");
    let governor = RateLimiter::direct(per_second());
    group.bench_function("governor", |bench| bench.iter(|| governor.check().is_ok()));
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::full().is_ok());
    });
    let ratelimit = ratelimit::Ratelimiter::builder(1_000_000_000)
        .max_tokens(1_000_000_000)
        .initial_available(1_000_000_000)
        .build()
        .expect("valid");
    group.bench_function("ratelimit", |bench| bench.iter(|| ratelimit.try_wait()));
    let leaky = leaky_bucket::RateLimiter::builder()
        .max(1_000_000_000)
        .initial(1_000_000_000)
        .refill(1_000_000_000)
        .interval(Duration::from_millis(1))
        .build();
    group.bench_function("leaky-bucket", |bench| bench.iter(|| leaky.try_acquire(1)));
    group.bench_function("throttle_my_fn", |bench| bench.iter(peer_attribute::open));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let mut tower = tower::limit::RateLimit::new(
        tower::service_fn(|(): ()| std::future::ready(Ok::<(), ()>(()))),
        tower::limit::rate::Rate::new(u64::MAX, SECOND),
    );
    group.bench_function("tower RateLimit", |bench| {
        bench.iter(|| {
            let _ = ready(tower.ready()).expect("it never fails");
            ready(tower.call(()))
        });
    });
    let trypema = {
        use trypema::RateLimiterBuilder;
        trypema::local::LocalRateLimiterProvider::builder()
            .disable_cleanup()
            .build()
            .expect("valid")
    };
    let rate = trypema::RateLimit::per_second_or_panic(1e9);
    group.bench_function("trypema", |bench| {
        bench.iter(|| trypema.absolute().inc("k", &rate, 1));
    });
    group.finish();

    bucket_in_use(criterion, "2 keyless, the bucket is in use");

    let mut group = self::group(criterion, "3 keyless, other algorithms");
    let governor = RateLimiter::direct(per_second());
    group.bench_function("governor", |bench| bench.iter(|| governor.check().is_ok()));
    group.bench_function("premier fixed_window", |bench| {
        bench.iter(|| keyless::fixed_window().is_ok());
    });
    group.bench_function("premier sliding_window", |bench| {
        bench.iter(|| keyless::sliding_window().is_ok());
    });
    group.bench_function("premier leaky_bucket", |bench| {
        bench.iter(|| keyless::leaky_bucket().is_ok());
    });
    group.bench_function("premier sliding_log", |bench| {
        bench.iter(|| keyless::sliding_log().is_ok());
    });
    group.bench_function("premier async", |bench| {
        bench.iter(|| ready(keyless::full_async()).is_ok());
    });
    group.finish();

    let mut group = self::group(criterion, "4 keyless, denied");
    let governor =
        RateLimiter::direct(Quota::with_period(Duration::from_secs(86_400)).expect("not zero"));
    let _ = governor.check();
    group.bench_function("governor", |bench| bench.iter(|| governor.check().is_ok()));
    let _ = keyless::shut();
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter(|| keyless::shut().is_ok());
    });
    group.bench_function("premier #[throttle], looked at", |bench| {
        bench.iter(|| match keyless::shut() {
            Err(premier::Error::QuotaExceeded { retry_after, .. }) => black_box(retry_after),
            _ => unreachable!("a day has not passed"),
        });
    });
    group.bench_function("premier #[throttle], dropped at once", |bench| {
        bench.iter(|| drop(black_box(keyless::shut())));
    });
    group.finish();
}

/// The time that `calls` calls take on each of two threads at one time.
fn two_threads(calls: u64, call: impl Fn() + Sync) -> Duration {
    let barrier = Arc::new(Barrier::new(3));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (barrier, call) = (Arc::clone(&barrier), &call);
                scope.spawn(move || {
                    barrier.wait();
                    for _ in 0..calls {
                        call();
                    }
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        for thread in threads {
            thread.join().expect("no panic");
        }
        start.elapsed()
    })
}

fn contended(criterion: &mut Criterion) {
    let mut group = group(criterion, "5 keyless, two threads on one limit");
    let governor = RateLimiter::direct(in_use());
    group.bench_function("governor", |bench| {
        bench.iter_custom(|calls| {
            two_threads(calls, || assert!(black_box(governor.check().is_ok())))
        });
    });
    group.bench_function("premier #[throttle]", |bench| {
        bench.iter_custom(|calls| {
            two_threads(calls, || assert!(black_box(keyless::in_use().is_ok())))
        });
    });
    group.finish();
}

fn keyed(criterion: &mut Criterion) {
    by_text(criterion, "6 keyed by text, 10,000 keys", |group, names| {
        use trypema::RateLimiterBuilder;
        let trypema = trypema::local::LocalRateLimiterProvider::builder()
            .disable_cleanup()
            .build()
            .expect("valid");
        let (rate, mut turn) = (trypema::RateLimit::per_second_or_panic(1e9), turns());
        group.bench_function("trypema", |bench| {
            bench.iter(|| trypema.absolute().inc(&names[turn()], &rate, 1));
        });
    });
    by_number(criterion, "7 keyed by u64, 10,000 keys");
}

fn caches(criterion: &mut Criterion) {
    let (names, mut turn) = (names(), turns());
    let mut group = group(criterion, "8 cache hit by u64, 10,000 keys");
    group.bench_function("cached", |bench| {
        bench.iter(|| cached_by_cached(turn() as u64));
    });
    group.bench_function("cached, sharded", |bench| {
        bench.iter(|| cached_by_sharded(turn() as u64));
    });
    let moka = moka::sync::Cache::new(100_000);
    for key in 0..names.len() as u64 {
        moka.insert(key, key + 1);
    }
    group.bench_function("moka", |bench| {
        bench.iter(|| moka.get(&(turn() as u64)));
    });
    group.bench_function("premier #[cache]", |bench| {
        bench.iter(|| benches::cached::by_number(turn() as u64));
    });
    group.finish();

    let mut group = self::group(criterion, "9 cache hit by text, 10,000 keys");
    group.bench_function("cached", |bench| {
        bench.iter(|| cached_by_cached_text(&names[turn()]));
    });
    group.bench_function("premier #[cache]", |bench| {
        bench.iter(|| benches::cached::by_text(&names[turn()]));
    });
    group.finish();
}

fn calls(criterion: &mut Criterion) {
    let mut group = group(criterion, "A retry on success, sync");
    group.bench_function("backon", |bench| {
        bench.iter(|| {
            let call = || Ok::<u64, &'static str>(black_box(1));
            call.retry(ExponentialBuilder::default()).call()
        });
    });
    group.bench_function("premier #[retry]", |bench| {
        bench.iter(|| retried::sync(black_box(1)));
    });
    group.finish();

    let mut group = self::group(criterion, "B retry on success, async");
    group.bench_function("backon", |bench| {
        bench.iter(|| {
            let call = || async { Ok::<u64, &'static str>(black_box(1)) };
            ready(async { call.retry(ExponentialBuilder::default()).await })
        });
    });
    group.bench_function("tokio-retry2", |bench| {
        bench.iter(|| {
            let strategy = tokio_retry2::strategy::ExponentialBackoff::from_millis(10).take(2);
            ready(tokio_retry2::Retry::spawn(strategy, || async {
                Ok::<u64, tokio_retry2::RetryError<&'static str>>(black_box(1))
            }))
        });
    });
    group.bench_function("premier #[retry]", |bench| {
        bench.iter(|| ready(retried::tasks(black_box(1))));
    });
    group.finish();

    let mut group = self::group(criterion, "C timeout on success, async");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    group.bench_function("tokio", |bench| {
        bench.iter(|| {
            ready(tokio::time::timeout(60 * SECOND, async {
                Ok::<u64, &'static str>(black_box(1))
            }))
        });
    });
    group.bench_function("premier #[timeout]", |bench| {
        bench.iter(|| ready(retried::timed(black_box(1))));
    });
    group.finish();
}

/// A call that succeeds, through a circuit breaker that is closed.
fn breakers(criterion: &mut Criterion) {
    use failsafe::{CircuitBreaker, backoff, failure_policy};

    let open_for = backoff::constant(30 * SECOND);
    let by_rate = failsafe::Config::new()
        .failure_policy(failure_policy::success_rate_over_time_window(
            0.5,
            20,
            10 * SECOND,
            open_for.clone(),
        ))
        .build();
    let by_count = failsafe::Config::new()
        .failure_policy(failure_policy::consecutive_failures(5, open_for))
        .build();
    let recloser = recloser::Recloser::default();
    let call = || Ok::<u64, ()>(black_box(1));

    let mut group = self::group(criterion, "C breaker on success, by rate");
    group.bench_function("recloser", |bench| bench.iter(|| recloser.call(call)));
    group.bench_function("failsafe, success rate", |bench| {
        bench.iter(|| by_rate.call(call));
    });
    group.bench_function("premier #[circuit_breaker]", |bench| {
        bench.iter(|| guarded::by_rate(black_box(1)));
    });
    group.bench_function("premier, async", |bench| {
        bench.iter(|| ready(guarded::tasks(black_box(1))));
    });
    group.bench_function("premier, by slow_rate too", |bench| {
        bench.iter(|| guarded::timed(black_box(1)));
    });
    group.bench_function("premier, by key", |bench| {
        bench.iter(|| guarded::by_key(black_box("host"), black_box(1)));
    });
    group.finish();

    let mut group = self::group(criterion, "C breaker on success, by count");
    group.bench_function("failsafe, consecutive failures", |bench| {
        bench.iter(|| by_count.call(call));
    });
    group.bench_function("premier #[circuit_breaker]", |bench| {
        bench.iter(|| guarded::by_count(black_box(1)));
    });
    group.finish();
}

/// A request from an address, through a layer, to a service that answers at once.
fn layers(criterion: &mut Criterion) {
    use axum::body::Body;
    use axum::extract::ConnectInfo;
    use axum::http::{Request, Response};
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use tower::Layer;
    use tower_governor::GovernorLayer;
    use tower_governor::governor::GovernorConfigBuilder;

    let service = tower::service_fn(|_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    let request = || {
        let mut request = Request::new(Body::empty());
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    };
    let premier = |name| {
        premier::tower::ThrottleLayer::new(
            name,
            premier::Limit::token_bucket(1_000_000_000, SECOND),
        )
        .key(premier::tower::RequestKey::peer_ip())
    };
    macro_rules! peer {
        ($builder:ident => $with:expr) => {{
            let mut $builder = GovernorConfigBuilder::default();
            $builder
                .period(Duration::from_nanos(1))
                .burst_size(1_000_000_000);
            GovernorLayer::new($with.finish().expect("valid")).layer(service)
        }};
    }

    for (name, headers) in [
        ("D HTTP layer by address, without headers", false),
        ("E HTTP layer by address, with headers", true),
    ] {
        let mut group = group(criterion, name);
        let mut peer = peer!(builder => builder);
        let mut peer_with = peer!(builder => builder.use_headers());
        group.bench_function("tower_governor", |bench| {
            bench.iter(|| match headers {
                true => ready(peer_with.call(request())).is_ok(),
                false => ready(peer.call(request())).is_ok(),
            });
        });
        let mut ours = premier(name).headers(headers).layer(service);
        group.bench_function("premier ThrottleLayer", |bench| {
            bench.iter(|| ready(ours.call(request())).is_ok());
        });
        let mut bare = service;
        group.bench_function("no layer", |bench| {
            bench.iter(|| ready(bare.call(request())).is_ok());
        });
        group.finish();
    }
}

criterion_group!(
    groups,
    parts,
    without_keys,
    contended,
    keyed,
    caches,
    calls,
    breakers,
    layers
);
criterion_main!(groups);
