//! Requests that wait for admission.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use premier::clock::ManualClock;
use premier::tower::ThrottleLayer;
use premier::{Limit, MemoryHandler};
use premier_tests::waits::{eventually_async, within};
use tokio::task::JoinSet;

use super::{client, get_status, header, serve};

#[tokio::test]
async fn a_request_waits_up_to_the_maximum_wait_and_is_denied_at_once_beyond() {
    let layer = ThrottleLayer::new(
        "waits",
        Limit::token_bucket(20, Duration::from_secs(1)).burst(1),
    )
    .wait_at_most(Duration::from_millis(220));
    let clock = ManualClock::new();
    let layer = layer.with_config(MemoryHandler::builder().clock(clock.clone()).build());
    let url = serve(Router::new().route("/", get(async || "ok").layer(layer))).await;
    let client = client();
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let (client, url) = (client.clone(), url.clone());
        calls.spawn(async move {
            let reply = client.get(&url).send().await.unwrap();
            (
                reply.status(),
                header(&reply, "retry-after").map(str::to_owned),
            )
        });
    }
    // One request is admitted at once, and one more every 50 ms. The sixth would wait for longer than it may.
    eventually_async("four requests wait", async || clock.sleepers() == 4).await;
    let mut replies = Vec::new();
    for _ in 0..6 {
        let reply = within("six requests are answered", calls.join_next()).await;
        replies.push(reply.unwrap().unwrap());
    }
    for _ in 0..4 {
        clock.advance(Duration::from_millis(50));
        let reply = within("one more is answered", calls.join_next()).await;
        replies.push(reply.unwrap().unwrap());
    }
    let admitted = replies.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(admitted, 5, "{replies:?}");
    for (status, retry_after) in replies.iter().filter(|(status, _)| *status != 200) {
        assert_eq!((status.as_u16(), retry_after.as_deref()), (429, Some("1")));
    }
}

#[tokio::test]
async fn a_leaky_bucket_spaces_requests() {
    let layer = ThrottleLayer::new(
        "leaky",
        Limit::leaky_bucket(20, Duration::from_secs(1)).bucket_size(3),
    );
    let url = serve(Router::new().route("/", get(async || "ok").layer(layer))).await;
    let client = client();
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let (client, url) = (client.clone(), url.clone());
        calls.spawn(async move { get_status(&client, &url).await });
    }
    let statuses = within("all requests are answered", calls.join_all()).await;
    assert!(statuses.iter().all(|status| *status == 200));
    assert!(start.elapsed() >= Duration::from_millis(149));
}

#[tokio::test]
async fn one_request_more_than_may_wait_is_unavailable_at_once() {
    let hour = Duration::from_secs(3_600);
    let layer = ThrottleLayer::new("crowded", Limit::token_bucket(1, hour))
        .wait_at_most(2 * hour)
        .max_waiting(1);
    let url = serve(Router::new().route("/", get(async || "ok").layer(layer))).await;
    let client = client();
    assert_eq!(get_status(&client, &url).await, 200);
    // Of two more, one waits for an hour.
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let (client, url) = (client.clone(), url.clone());
        calls.spawn(async move { get_status(&client, &url).await });
    }
    let first = within("one request is answered", calls.join_next()).await;
    assert_eq!(first.unwrap().unwrap(), 503);
}
