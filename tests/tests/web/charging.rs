//! Which requests are charged: by their response, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use premier::Limit;
use premier::tower::ThrottleLayer;
use premier_tests::waits::within;
use reqwest::StatusCode;
use tokio::task::JoinSet;

use super::{MINUTE, behind, client, get_status, header, one_a_minute, serve};

#[tokio::test]
async fn only_failed_log_ins_are_charged() {
    let layer = ThrottleLayer::new("log-in", Limit::sliding_log(3, MINUTE))
        .charge_if(|response| response.status == 401);
    let app = Router::new().route(
        "/{password}",
        get(async |path: axum::extract::Path<String>| match &**path {
            "right" => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        })
        .layer(layer),
    );
    let url = serve(app).await;
    let client = client();
    let (right, wrong) = (format!("{url}/right"), format!("{url}/wrong"));
    for _ in 0..10 {
        let reply = client.get(&right).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert!(
            header(&reply, "ratelimit")
                .unwrap()
                .starts_with("\"log-in\";r=3;")
        );
    }
    for _ in 0..3 {
        assert_eq!(get_status(&client, &wrong).await, 401);
    }
    // The right password is denied too: a client that guesses must not learn that a guess was
    // right.
    assert_eq!(get_status(&client, &right).await, 429);
    assert_eq!(get_status(&client, &wrong).await, 429);
}

#[tokio::test]
async fn simultaneous_guesses_cannot_exceed_the_limit() {
    let (tried, layer) = (
        Arc::new(AtomicUsize::new(0)),
        ThrottleLayer::new("guesses", Limit::sliding_log(5, MINUTE))
            .charge_if(|response| response.status == 401),
    );
    let count = Arc::clone(&tried);
    let app = Router::new().route(
        "/",
        get(async move || {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            StatusCode::UNAUTHORIZED
        })
        .layer(layer),
    );
    let url = serve(app).await;
    let client = client();
    let mut guesses = JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (client.clone(), url.clone());
        guesses.spawn(async move { get_status(&client, &url).await });
    }
    let statuses = within("all guesses are answered", guesses.join_all()).await;
    assert_eq!(tried.load(Ordering::Relaxed), 5);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 45);
}

#[tokio::test]
async fn a_skipped_request_costs_nothing() {
    let layer = ThrottleLayer::new("skips", one_a_minute())
        .skip_if(|request| request.headers.contains_key("x-internal"));
    let (url, _clock) = behind(layer).await;
    let client = client();
    for _ in 0..3 {
        let reply = client
            .get(&url)
            .header("x-internal", "1")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(header(&reply, "ratelimit"), None);
    }
    assert_eq!(get_status(&client, &url).await, 200);
    assert_eq!(get_status(&client, &url).await, 429);
}

#[tokio::test]
async fn a_shadow_layer_denies_nothing() {
    let (url, _clock) = behind(ThrottleLayer::new("shadow", one_a_minute()).shadow()).await;
    let client = client();
    for _ in 0..3 {
        let reply = client.get(&url).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(header(&reply, "ratelimit"), None);
    }
}
