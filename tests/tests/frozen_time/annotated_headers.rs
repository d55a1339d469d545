//! With `RateLimitHeadersLayer`, the responses of annotated handlers describe the limits that the request has used.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use premier::clock::ManualClock;
use premier::tower::{HeaderFormat, RateLimitHeadersLayer, ThrottleLayer};
use premier::{Error, Limit, MemoryHandler, Throttle, throttle};
use premier_tests::redis::Server;
use premier_tests::waits::{done, within};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::freeze_time;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A router with one route and the layer.
fn app<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    app_with(RateLimitHeadersLayer::new(), handler)
}

fn app_with<H, T>(layer: RateLimitHeadersLayer, handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    freeze_time();
    Router::new().route("/", get(handler)).layer(layer)
}

async fn send(app: &Router) -> Response<Body> {
    let request = Request::get("/").body(Body::empty()).unwrap();
    within("an answer", app.clone().oneshot(request))
        .await
        .unwrap()
}

/// All values of a header, as one list.
fn list<B>(response: &Response<B>, name: &str) -> Option<String> {
    let values = response.headers().get_all(name).iter();
    let values: Vec<&str> = values.map(|value| value.to_str().unwrap()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The status, `RateLimit` and `RateLimit-Policy`.
fn described<B>(response: &Response<B>) -> (u16, Option<String>, Option<String>) {
    let status = response.status().as_u16();
    (
        status,
        list(response, "ratelimit"),
        list(response, "ratelimit-policy"),
    )
}

#[track_caller]
fn assert_described<B>(response: &Response<B>, status: u16, rate_limit: &str, policy: &str) {
    let expected = (status, Some(rate_limit.to_owned()), Some(policy.to_owned()));
    assert_eq!(described(response), expected);
}

#[throttle(rate = "3/min")]
async fn three_a_minute() -> Result<&'static str, Error> {
    Ok("done")
}

#[tokio::test]
async fn an_admitted_call_of_a_handler_says_what_is_left() {
    let app = app(three_a_minute);
    let policy = "\"default\";q=3;w=60";
    for left in [2, 1, 0] {
        let rate_limit = format!("\"default\";r={left};t=60");
        assert_described(&send(&app).await, 200, &rate_limit, policy);
    }
    let refused = send(&app).await;
    assert_described(&refused, 429, "\"default\";r=0;t=60", policy);
    assert_eq!(list(&refused, "retry-after").as_deref(), Some("60"));
}

#[throttle(algo = "token_bucket", rate = "10/min", burst = 10)]
async fn used_before() -> Result<&'static str, Error> {
    Ok("done")
}

#[tokio::test]
async fn a_limit_that_was_used_before_there_was_a_layer_is_described() {
    freeze_time();
    used_before().await.unwrap();
    let app = app(used_before);
    let rate_limit = "\"default\";r=8;t=6";
    assert_described(&send(&app).await, 200, rate_limit, "\"default\";q=10;w=60");
    // A call outside of the layer takes from the same limit.
    used_before().await.unwrap();
    let rate_limit = "\"default\";r=6;t=6";
    assert_described(&send(&app).await, 200, rate_limit, "\"default\";q=10;w=60");
}

#[throttle(rate = "10/min")]
async fn wide() -> Result<(), Error> {
    Ok(())
}

#[throttle(rate = "5/h")]
fn narrow() -> Result<(), Error> {
    Ok(())
}

#[tokio::test]
async fn the_tightest_limit_that_a_request_used_is_described() {
    let app = app(async || {
        narrow()?;
        wide().await?;
        Ok::<_, Error>("done")
    });
    let response = send(&app).await;
    assert_described(
        &response,
        200,
        "\"default\";r=4;t=3600",
        "\"default\";q=5;w=3600",
    );
}

#[throttle(rate = "4/min")]
#[throttle(rate = "4/h")]
async fn together() -> Result<&'static str, Error> {
    Ok("done")
}

#[tokio::test]
async fn of_equally_tight_limits_the_one_that_refills_last_is_described() {
    let response = send(&app(together)).await;
    let rate_limit = "\"default\";r=3;t=3600";
    assert_described(&response, 200, rate_limit, "\"default\";q=4;w=3600");
}

#[throttle(limits("2/10s", "20/h"), algo = "sliding_log")]
async fn several() -> Result<&'static str, Error> {
    Ok("done")
}

#[tokio::test]
async fn of_several_limits_of_a_function_the_tightest_is_described() {
    let app = app(several);
    let policy = "\"default\";q=2;w=10, \"default-2\";q=20;w=3600";
    assert_described(&send(&app).await, 200, "\"default\";r=1;t=10", policy);
    assert_described(&send(&app).await, 200, "\"default\";r=0;t=10", policy);
    assert_described(&send(&app).await, 429, "\"default\";r=0;t=10", policy);
}

#[throttle(rate = "1/min")]
async fn refusing() -> Result<(), Error> {
    Ok(())
}

#[tokio::test]
async fn a_limit_that_refuses_is_described_rather_than_a_used_up_one() {
    let app = app(async || {
        narrow_to_none().await?;
        refusing().await?;
        Ok::<_, Error>("done")
    });
    freeze_time();
    refusing().await.unwrap();
    let response = send(&app).await;
    assert_described(
        &response,
        429,
        "\"default\";r=0;t=60",
        "\"default\";q=1;w=60",
    );
    let body = axum::body::to_bytes(response.into_body(), 10_000)
        .await
        .unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["default"]));
}

#[throttle(rate = "1/h")]
async fn narrow_to_none() -> Result<(), Error> {
    Ok(())
}

#[throttle(rate = "1/min")]
async fn in_other_formats() -> Result<&'static str, Error> {
    Ok("done")
}

#[tokio::test]
async fn admitted_and_refused_calls_are_described_in_the_format_of_the_layer() {
    let layer = RateLimitHeadersLayer::new()
        .header_format(HeaderFormat::Draft07)
        .older_headers(true);
    let app = app_with(layer, in_other_formats);
    for status in [200, 429] {
        let response = send(&app).await;
        assert_described(
            &response,
            status,
            "limit=1, remaining=0, reset=60",
            "1;w=60",
        );
        assert_eq!(
            list(&response, "x-ratelimit-remaining").as_deref(),
            Some("0")
        );
        assert_eq!(list(&response, "x-ratelimit-reset").as_deref(), Some("60"));
    }
}

#[tokio::test]
async fn a_response_without_a_decision_is_left_as_it_is() {
    let response = send(&app(async || "done")).await;
    assert_eq!(described(&response), (200, None, None));
}

#[throttle(rate = "5/min")]
async fn inside() -> Result<&'static str, Error> {
    Ok("done")
}

#[tokio::test]
async fn the_headers_of_throttle_layers_inside_and_outside_merge() {
    freeze_time();
    let layer = |name: &str, quota| ThrottleLayer::new(name, Limit::fixed_window(quota, MINUTE));
    let app = Router::new()
        .route("/", get(inside))
        .layer(layer("inner", 9))
        .layer(RateLimitHeadersLayer::new())
        .layer(layer("outer", 7));
    let rate_limit = "\"inner\";r=8;t=60, \"default\";r=4;t=60, \"outer\";r=6;t=60";
    let policy = "\"inner\";q=9;w=60, \"default\";q=5;w=60, \"outer\";q=7;w=60";
    assert_described(&send(&app).await, 200, rate_limit, policy);
}

#[tokio::test]
async fn the_innermost_layer_describes_the_calls() {
    let app = app(inside_of_two).layer(RateLimitHeadersLayer::new());
    let response = send(&app).await;
    assert_described(
        &response,
        200,
        "\"default\";r=4;t=60",
        "\"default\";q=5;w=60",
    );
}

#[throttle(rate = "5/min")]
async fn inside_of_two() -> Result<&'static str, Error> {
    Ok("done")
}

#[throttle(rate = "9/min", key = user)]
async fn by_user(user: u32) -> Result<(), Error> {
    Ok(())
}

/// Two requests on one thread, of which each is polled while the other one runs.
#[tokio::test]
async fn a_response_describes_no_decisions_of_other_requests() {
    freeze_time();
    let service = RateLimitHeadersLayer::new().layer(service_fn(async |user: u32| {
        for _ in 0..user {
            by_user(user).await.unwrap();
            yield_once().await;
        }
        Ok::<_, Infallible>(Response::new(()))
    }));
    let (mut one, mut other) = (service.clone(), service);
    let (mut one, mut other) = (pin!(one.call(2)), pin!(other.call(3)));
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) = (Poll::Pending, Poll::Pending);
    while first.is_pending() || second.is_pending() {
        if first.is_pending() {
            first = one.as_mut().poll(&mut context);
        }
        // Not within a request, so no response describes it.
        by_user(7).await.unwrap();
        if second.is_pending() {
            second = other.as_mut().poll(&mut context);
        }
    }
    for (response, left) in [(first, 7), (second, 6)] {
        let Poll::Ready(Ok(response)) = response else {
            panic!("both have ended");
        };
        let rate_limit = format!("\"default\";r={left};t=60");
        assert_described(&response, 200, &rate_limit, "\"default\";q=9;w=60");
    }
}

async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        match std::mem::replace(&mut has_yielded, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// A limit on a clock of its own.
fn on_clock(name: &str, limit: Limit) -> (Throttle, ManualClock) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    (Throttle::new(name, limit).with_config(handler), clock)
}

async fn acquired(throttle: Throttle) -> Result<&'static str, Error> {
    throttle.acquire_async("all").await?;
    Ok("done")
}

#[tokio::test]
async fn a_call_that_has_waited_says_what_is_left() {
    let (throttle, clock) = on_clock("waits", Limit::token_bucket(1, SECOND).burst(1));
    let throttle = throttle.wait();
    throttle.acquire("all").unwrap();
    let app = app(move || acquired(throttle.clone()));
    let waits = tokio::spawn(async move { send(&app).await });
    let sleeper = clock.clone();
    tokio::task::spawn_blocking(move || premier_tests::waits::sleepers(&sleeper, 1))
        .await
        .unwrap();
    clock.advance(SECOND);
    let response = done("the request", waits).await;
    assert_described(&response, 200, "\"waits\";r=0;t=1", "\"waits\";q=1;w=1");
}

#[tokio::test]
async fn a_retry_after_of_the_service_is_not_before_the_limit_has_room() {
    let (throttle, _) = on_clock("busy", Limit::fixed_window(1, MINUTE));
    let app = app(async move || {
        throttle.acquire_async("all").await?;
        Ok::<_, Error>((StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]))
    });
    let response = send(&app).await;
    assert_described(&response, 503, "\"busy\";r=0;t=60", "\"busy\";q=1;w=60");
    assert_eq!(list(&response, "retry-after").as_deref(), Some("60"));
}

static REDIS: LazyLock<Server> = LazyLock::new(Server::start);

fn on_redis(name: &str, limits: &[Limit]) -> Throttle {
    // The clock stands still, so that a busy machine does not change the remaining seconds.
    let builder = REDIS.builder().clock(ManualClock::new());
    let handler = builder.build().unwrap();
    Throttle::all(name, limits).with_config(handler)
}

#[tokio::test]
async fn calls_that_redis_decides_say_what_is_left() {
    let limits = [
        Limit::sliding_log(2, 2 * MINUTE),
        Limit::sliding_log(9, 60 * MINUTE),
    ];
    let throttle = on_redis("shared", &limits);
    let app = app(move || acquired(throttle.clone()));
    let policy = "\"shared\";q=2;w=120, \"shared-2\";q=9;w=3600";
    assert_described(&send(&app).await, 200, "\"shared\";r=1;t=120", policy);
    assert_described(&send(&app).await, 200, "\"shared\";r=0;t=120", policy);
    assert_described(&send(&app).await, 429, "\"shared\";r=0;t=120", policy);
}

#[tokio::test]
async fn without_a_layer_a_call_that_redis_refuses_says_which_of_several_limits_is_used_up() {
    let limits = [
        Limit::sliding_log(9, 60 * MINUTE),
        Limit::sliding_log(1, 2 * MINUTE),
    ];
    let throttle = on_redis("refused", &limits);
    let app = Router::new().route("/", get(move || acquired(throttle.clone())));
    assert_eq!(described(&send(&app).await), (200, None, None));
    let policy = "\"refused\";q=9;w=3600, \"refused-2\";q=1;w=120";
    assert_described(&send(&app).await, 429, "\"refused-2\";r=0;t=120", policy);
}
