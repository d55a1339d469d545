//! A call allocates nothing once its limit and its key are known.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::http::{Request, Response};
use premier::tower::{RequestKey, ThrottleLayer, TrustedProxies};
use premier::{Limit, cache, circuit_breaker, concurrency, retry, throttle, timeout};
use tower::{Layer, Service, service_fn};

/// The number of allocations that `work` makes.
fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is not to wait"),
    }
}

/// Asserts that a call allocates nothing after the first, which sets up the limit.
#[track_caller]
fn assert_none(name: &str, call: impl Fn()) {
    call();
    let counted = allocations(|| (0..100).for_each(|_| call()));
    assert_eq!(counted, 0, "{name}");
}

mod limits {
    use premier::throttle;

    #[throttle(algo = "token_bucket", rate = "1000000/s")]
    pub(super) fn token_bucket() {}

    #[throttle(algo = "leaky_bucket", rate = "1000000000/s", bucket_size = 1000)]
    pub(super) fn leaky_bucket() {}

    #[throttle(algo = "fixed_window", rate = "1000000/h")]
    pub(super) fn fixed_window() {}

    #[throttle(algo = "sliding_window", rate = "1000000/h")]
    pub(super) fn sliding_window() {}

    // Few enough units for the first block of instants: a log grows with the units it holds.
    #[throttle(algo = "sliding_log", quota = 4, duration = "1us")]
    pub(super) fn sliding_log() {}

    #[throttle(algo = "token_bucket", rate = "1000000/s", wait = "1s")]
    pub(super) fn waiting() {}

    #[throttle(algo = "token_bucket", rate = "1000000/s", key = key)]
    pub(super) fn by_text(key: &str) {
        let _ = key;
    }

    #[throttle(algo = "fixed_window", rate = "1000000/h", key = key)]
    pub(super) fn by_text_and_window(key: &str) {
        let _ = key;
    }

    #[throttle(algo = "token_bucket", rate = "1000000/s", key = key)]
    pub(super) fn by_number(key: u64) {
        let _ = key;
    }

    #[throttle(algo = "token_bucket", rate = "1000000/s", key = "{tenant}/{user}")]
    pub(super) fn by_format(tenant: u32, user: &str) {
        let _ = (tenant, user);
    }

    #[throttle(algo = "token_bucket", rate = "1000000/s", key = "{tenant}/{user}")]
    #[throttle(algo = "fixed_window", rate = "1000000/h", key = tenant)]
    #[throttle(algo = "sliding_window", rate = "1000000/h")]
    pub(super) fn together(tenant: u32, user: &str) {
        let _ = (tenant, user);
    }

    #[throttle(algo = "token_bucket", rate = "1/d")]
    pub(super) fn denied() {}

    #[throttle(algo = "fixed_window", rate = "1/d")]
    pub(super) fn denied_window() {}

    #[throttle(algo = "token_bucket", rate = "1000000/s")]
    pub(super) async fn task() {}

    #[throttle(algo = "token_bucket", rate = "1000000/s", key = key)]
    pub(super) async fn task_by_text(key: &str) {
        let _ = key;
    }
}

#[test]
fn an_admitted_call_allocates_nothing() {
    assert_none("token bucket", || limits::token_bucket().unwrap());
    assert_none("leaky bucket", || drop(limits::leaky_bucket()));
    assert_none("fixed window", || limits::fixed_window().unwrap());
    assert_none("sliding window", || limits::sliding_window().unwrap());
    assert_none("sliding log", || drop(limits::sliding_log()));
    assert_none("waiting", || limits::waiting().unwrap());
    assert_none("async", || ready(limits::task()).unwrap());
}

#[test]
fn an_admitted_call_with_a_known_key_allocates_nothing() {
    assert_none("text", || limits::by_text("alice").unwrap());
    let long = "a".repeat(1_000);
    assert_none("long text", || limits::by_text(&long).unwrap());
    assert_none("window", || limits::by_text_and_window("alice").unwrap());
    assert_none("number", || limits::by_number(u64::MAX).unwrap());
    assert_none("format", || limits::by_format(7, "alice").unwrap());
    assert_none("together", || limits::together(7, "alice").unwrap());
    assert_none("async", || ready(limits::task_by_text("alice")).unwrap());
}

#[test]
fn a_new_key_allocates_at_most_its_own_text() {
    limits::by_text("first").unwrap();
    // The key table sometimes grows, which allocates too. With this many keys, most calls do not
    // grow it.
    let texts: Vec<String> = (0..10_000).map(|n| format!("user-{n:06}")).collect();
    let counted = allocations(|| texts.iter().for_each(|key| limits::by_text(key).unwrap()));
    assert!(counted < 1_000, "{counted} for 10,000 short texts");
    let counted = allocations(|| (0..10_000).for_each(|key| limits::by_number(key).unwrap()));
    assert!(counted < 1_000, "{counted} for 10,000 numbers");
}

#[test]
fn a_denied_call_without_a_key_allocates_nothing() {
    limits::denied().unwrap();
    limits::denied_window().unwrap();
    assert_none("token bucket", || assert!(limits::denied().is_err()));
    assert_none("fixed window", || assert!(limits::denied_window().is_err()));
}

#[test]
fn a_request_from_a_known_address_allocates_nothing() {
    let proxies = || TrustedProxies::networks(["10.0.0.0/8", "fd00::/8"]).unwrap();
    for key in [
        RequestKey::peer_ip(),
        RequestKey::peer_ip().ipv6_prefix(48),
        RequestKey::x_forwarded_for(1),
        RequestKey::x_forwarded_for(proxies()),
        RequestKey::ip_header("X-Real-IP", 1),
        RequestKey::ip_header("X-Real-IP", proxies()),
        RequestKey::header("x-api-key").and(RequestKey::path()),
    ] {
        let name = format!("{key:?}");
        let limit = Limit::token_bucket(1_000_000, std::time::Duration::from_secs(1));
        let layer = ThrottleLayer::new("addresses", limit)
            .key(key)
            .headers(false);
        let mut service = layer.layer(service_fn(async |_: Request<()>| {
            Ok::<_, std::convert::Infallible>(Response::new(()))
        }));
        let request = || {
            let mut request = Request::new(());
            let peer = std::net::SocketAddr::from(([10, 0, 0, 1], 80));
            request.extensions_mut().insert(peer);
            let headers = request.headers_mut();
            let addresses = "9.9.9.9, 2001:db8::1, 10.0.0.2".parse().unwrap();
            headers.insert("x-forwarded-for", addresses);
            headers.insert("x-real-ip", "2001:db8::1".parse().unwrap());
            headers.insert("x-api-key", "k".parse().unwrap());
            request
        };
        let status = ready(service.call(request())).unwrap().status();
        assert_eq!(status, 200, "{name}");
        let requests: Vec<_> = (0..100).map(|_| request()).collect();
        let counted = allocations(|| {
            for request in requests {
                let _ = ready(service.call(request)).unwrap();
            }
        });
        assert_eq!(counted, 0, "{name}");
    }
}

#[retry(max = 3)]
fn retried() -> Result<u64, premier::Error> {
    Ok(1)
}

#[timeout(60)]
async fn timed() -> Result<u64, premier::Error> {
    Ok(1)
}

#[circuit_breaker(failures = 3, within = "1s", open_for = "1s")]
fn guarded() -> Result<u64, premier::Error> {
    Ok(1)
}

#[concurrency(limit = 2)]
fn bounded() -> Result<u64, premier::Error> {
    Ok(1)
}

#[cache(capacity = 10)]
fn remembered(key: u64) -> u64 {
    key
}

#[throttle(algo = "token_bucket", rate = "1000000/s")]
#[retry(max = 3)]
#[timeout(60)]
async fn layered() -> Result<u64, premier::Error> {
    Ok(1)
}

#[test]
fn the_other_attributes_allocate_nothing_on_success() {
    assert_none("retry", || drop(retried()));
    assert_none("timeout", || drop(ready(timed())));
    assert_none("circuit breaker", || drop(guarded()));
    assert_none("concurrency", || drop(bounded()));
    assert_none("several", || drop(ready(layered())));
    remembered(1);
    let counted = allocations(|| (0..100).for_each(|_| assert_eq!(remembered(1), 1)));
    assert!(counted < 100, "cache hits: {counted}");
}
