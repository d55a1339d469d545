//! `Retry-After` of the tower layer: with and without a key, with and without the headers of the
//! IETF draft, for each algorithm. Also the refund of a response that comes late.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response, StatusCode};
use premier::clock::ManualClock;
use premier::tower::{RequestKey, ThrottleBody, ThrottleLayer};
use premier::{Limit, MemoryHandler};
use premier_tests::waits::{done, within};
use tokio::sync::Notify;
use tokio::task;
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type Reply = Response<ThrottleBody<String>>;

async fn ask<S>(service: &S) -> Reply
where
    S: Service<Request<()>, Response = Reply, Error = std::convert::Infallible> + Clone,
{
    let request = Request::builder().uri("/path").body(()).unwrap();
    let asked = service.clone().oneshot(request);
    within("an answer", asked).await.unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    Some(reply.headers().get(name)?.to_str().unwrap())
}

/// Asserts that two requests at 0 s are admitted, that one at 2.5 s is denied with `seconds` in its
/// header, and that a request is admitted after exactly `seconds`.
async fn denied_until(name: &str, layer: ThrottleLayer, seconds: u32) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let service = layer
        .with_config(handler)
        .layer(service_fn(async |_: Request<()>| {
            Ok(Response::new("hello".to_owned()))
        }));
    for _ in 0..2 {
        let reply = ask(&service).await;
        assert_eq!(reply.status(), 200, "{name}");
        assert_eq!(header(&reply, "retry-after"), None, "{name}");
    }
    clock.advance(SECOND * 5 / 2);
    // The second denial uses the state that the first has stored.
    for _ in 0..2 {
        let denied = ask(&service).await;
        assert_eq!(denied.status(), 429, "{name}");
        let expected = seconds.to_string();
        assert_eq!(header(&denied, "retry-after"), Some(&*expected), "{name}");
    }
    clock.advance((seconds - 1) * SECOND);
    let early = ask(&service).await;
    assert_eq!(early.status(), 429, "{name}");
    assert_eq!(header(&early, "retry-after"), Some("1"), "{name}");
    clock.advance(SECOND);
    assert_eq!(ask(&service).await.status(), 200, "{name}");
}

#[tokio::test]
async fn retry_after_is_when_a_denied_request_would_be_admitted() {
    for (algo, limit, seconds) in [
        ("fixed window", Limit::fixed_window(2, 20 * SECOND), 18),
        ("sliding log", Limit::sliding_log(2, 20 * SECOND), 18),
        // floor(2 · (20 − e) / 20) is 1 just after e = 0.
        ("sliding window", Limit::sliding_window(2, 20 * SECOND), 18),
        ("token bucket", Limit::token_bucket(2, 20 * SECOND), 8),
    ] {
        for (way, layer) in [
            ("plain", ThrottleLayer::new("a", limit)),
            ("bare", ThrottleLayer::new("a", limit).headers(false)),
            (
                "keyed",
                ThrottleLayer::new("a", limit).key(RequestKey::path()),
            ),
            (
                "keyed and bare",
                ThrottleLayer::new("a", limit)
                    .key(RequestKey::path())
                    .headers(false),
            ),
            (
                "keyed, with the older headers alone",
                ThrottleLayer::new("a", limit)
                    .key(RequestKey::path())
                    .headers(false)
                    .older_headers(true),
            ),
            (
                "of two",
                ThrottleLayer::all("a", &[limit, Limit::fixed_window(100, 60 * SECOND)]),
            ),
        ] {
            denied_until(&format!("{algo}, {way}"), layer, seconds).await;
        }
    }
}

#[tokio::test]
async fn retry_after_of_a_full_queue_is_when_it_has_room() {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let limit = Limit::leaky_bucket(1, 10 * SECOND).bucket_size(0);
    let layer = ThrottleLayer::new("queue", limit).with_config(handler);
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok(Response::new("hello".to_owned()))
    }));
    assert_eq!(ask(&service).await.status(), 200);
    clock.advance(SECOND * 5 / 2);
    let denied = ask(&service).await;
    assert_eq!(denied.status(), 429);
    assert_eq!(header(&denied, "retry-after"), Some("8"));
}

/// Only failed requests are charged. A request that succeeds after its window has ended must not
/// add its unit to the next window.
#[tokio::test]
async fn a_response_after_its_window_adds_nothing_to_the_next_window() {
    for (name, limit) in [
        ("fixed", Limit::fixed_window(1, 60 * SECOND)),
        ("sliding", Limit::sliding_window(1, 60 * SECOND)),
        ("log", Limit::sliding_log(1, 60 * SECOND)),
        ("bucket", Limit::token_bucket(1, 60 * SECOND)),
    ] {
        let clock = ManualClock::new();
        let handler = MemoryHandler::builder().clock(clock.clone()).build();
        let layer = ThrottleLayer::new("late", limit)
            .charge_if(|response| response.status == StatusCode::UNAUTHORIZED)
            .wait_for_outcomes(Duration::ZERO)
            .with_config(handler);
        let slow = Arc::new(Notify::new());
        let service = layer.layer(service_fn({
            let slow = Arc::clone(&slow);
            move |request: Request<()>| {
                let slow = Arc::clone(&slow);
                async move {
                    let mut response = Response::new(String::new());
                    if request.headers().contains_key("slow") {
                        slow.notified().await;
                    } else {
                        *response.status_mut() = StatusCode::UNAUTHORIZED;
                    }
                    Ok::<_, std::convert::Infallible>(response)
                }
            }
        }));
        let request = Request::builder().header("slow", "1").body(()).unwrap();
        let late = task::spawn(service.clone().oneshot(request));
        task::yield_now().await;
        assert_eq!(
            ask(&service).await.status(),
            429,
            "{name}: it is charged so far"
        );
        clock.advance(121 * SECOND);
        assert_eq!(ask(&service).await.status(), 401, "{name}");
        slow.notify_one();
        assert_eq!(done("the late answer", late).await.unwrap().status(), 200);
        assert_eq!(ask(&service).await.status(), 429, "{name}");
    }
}
