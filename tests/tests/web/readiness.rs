//! Requests that are refused, or that wait, reserve nothing in the service inside.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response, StatusCode};
use premier::MemoryHandler;
use premier::clock::ManualClock;
use premier::tower::{RequestKey, ThrottleLayer};
use premier_tests::waits::{cancelled, done, eventually_async, within};
use tokio::sync::Notify;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::{MINUTE, one_a_minute};

type Inner = BoxCloneSyncService<Request<()>, Response<String>, Infallible>;

/// Holds requests to `/held`.
#[derive(Debug, Default)]
struct Gate {
    entered: Notify,
    opened: Notify,
}

/// A service that one request may use at a time. It answers `/held` when the gate is opened, and everything
/// else at once.
fn one_at_a_time(gate: &Arc<Gate>) -> Inner {
    let gate = Arc::clone(gate);
    let service = tower::service_fn(move |request: Request<()>| {
        let gate = Arc::clone(&gate);
        async move {
            if request.uri().path() == "/held" {
                gate.entered.notify_one();
                gate.opened.notified().await;
            }
            Ok(Response::new("ok".to_owned()))
        }
    });
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .layer(GlobalConcurrencyLimitLayer::new(1))
            .service(service),
    )
}

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

async fn ask<S, R>(service: &mut S, path: &str) -> StatusCode
where
    S: Service<Request<()>, Response = Response<R>, Error = Infallible>,
{
    let called = async { service.ready().await.unwrap().call(request(path)).await };
    within("an answer", called).await.unwrap().status()
}

/// A layer whose requests wait up to two minutes by its clock.
fn waiting_layer(name: &str) -> (ThrottleLayer, ManualClock) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let layer = ThrottleLayer::new(name, one_a_minute())
        .key(RequestKey::path())
        .wait_at_most(2 * MINUTE)
        .with_config(handler);
    (layer, clock)
}

/// Waits until a request sleeps on the clock.
async fn until_one_sleeps(clock: &ManualClock) {
    let asleep = async || clock.sleepers() == 1;
    eventually_async("a request waits", asleep).await;
}

#[tokio::test]
async fn a_refused_request_gives_back_what_it_has_reserved() {
    let refusing = ThrottleLayer::new("refuses", one_a_minute());
    let briefly_waiting = refusing.clone().wait_at_most(Duration::from_millis(1));
    for layer in [refusing, briefly_waiting] {
        let layer = layer
            .key(RequestKey::path())
            .with_config(MemoryHandler::new());
        let mut one = layer.layer(one_at_a_time(&Arc::default()));
        let mut other = one.clone();
        assert_eq!(ask(&mut one, "/a").await, 200);
        assert_eq!(ask(&mut one, "/a").await, 429);
        // Nothing is in flight, although `one` still exists.
        assert_eq!(ask(&mut other, "/b").await, 200);
        drop(one);
    }
}

#[tokio::test]
async fn a_request_that_waits_keeps_no_permit_of_the_service_inside() {
    let (layer, clock) = waiting_layer("waits");
    let mut one = layer.layer(one_at_a_time(&Arc::default()));
    let mut waiting = one.clone();
    assert_eq!(ask(&mut one, "/a").await, 200);
    let waiter = tokio::spawn(async move { ask(&mut waiting, "/a").await });
    until_one_sleeps(&clock).await;
    // The only permit is free.
    assert_eq!(ask(&mut one, "/b").await, 200);
    clock.advance(MINUTE);
    assert_eq!(done("the waiter is admitted", waiter).await, 200);
}

#[tokio::test]
async fn a_request_that_was_admitted_after_a_wait_is_called_once_there_is_a_permit() {
    let (layer, clock) = waiting_layer("waits twice");
    let gate = Arc::default();
    let mut one = layer.layer(one_at_a_time(&gate));
    let (mut waiting, mut held) = (one.clone(), one.clone());
    assert_eq!(ask(&mut one, "/a").await, 200);
    let waiter = tokio::spawn(async move { ask(&mut waiting, "/a").await });
    until_one_sleeps(&clock).await;
    let holder = tokio::spawn(async move { ask(&mut held, "/held").await });
    within("the holder has the permit", gate.entered.notified()).await;
    clock.advance(MINUTE);
    eventually_async("the waiter is admitted", async || clock.sleepers() == 0).await;
    assert!(!waiter.is_finished());
    gate.opened.notify_one();
    assert_eq!(done("the holder is answered", holder).await, 200);
    assert_eq!(done("the waiter is called", waiter).await, 200);
}

#[tokio::test]
async fn a_waiter_that_is_dropped_leaves_the_service_usable() {
    let (layer, clock) = waiting_layer("dropped");
    let mut one = layer.layer(one_at_a_time(&Arc::default()));
    let mut waiting = one.clone();
    assert_eq!(ask(&mut one, "/a").await, 200);
    let waiter = tokio::spawn(async move { ask(&mut waiting, "/a").await });
    until_one_sleeps(&clock).await;
    cancelled("the waiter", waiter).await;
    assert_eq!(ask(&mut one, "/b").await, 200);
}
