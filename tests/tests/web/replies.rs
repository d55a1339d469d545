//! Replies to denied requests, and during an outage of the store.

use axum::Router;
use axum::routing::get;
use premier::tower::ThrottleLayer;
use premier::{Config, OnBackendError, RedisHandler};
use reqwest::StatusCode;

use super::{behind, client, get_status, header, one_a_minute, serve};

/// A configuration with a Redis address at which no server listens.
fn nowhere(policy: OnBackendError) -> Config {
    Config::new(RedisHandler::connect("redis://127.0.0.1:1/").unwrap()).on_backend_error(policy)
}

#[tokio::test]
async fn replies_during_an_outage_follow_the_policy() {
    let client = client();
    for (policy, statuses) in [
        (OnBackendError::Deny, [503, 503]),
        (OnBackendError::Allow, [200, 200]),
        (OnBackendError::Memory, [200, 429]),
    ] {
        let layer = ThrottleLayer::new("outage", one_a_minute()).with_config(nowhere(policy));
        let url = serve(Router::new().route("/", get(async || "ok").layer(layer))).await;
        for status in statuses {
            let reply = client.get(&url).send().await.unwrap();
            assert_eq!(reply.status(), status, "{policy:?}");
            let retry_after =
                header(&reply, "retry-after").map(|value| value.parse::<u64>().unwrap());
            match status {
                200 => assert_eq!(retry_after, None),
                503 => {
                    assert_eq!(retry_after, Some(1));
                    let problem: serde_json::Value = reply.json().await.unwrap();
                    assert!(
                        problem["type"]
                            .as_str()
                            .unwrap()
                            .ends_with("#temporary-reduced-capacity")
                    );
                }
                _ => assert!(retry_after.unwrap() >= 59),
            }
        }
    }
}

#[tokio::test]
async fn a_custom_reply_keeps_the_headers() {
    let layer = ThrottleLayer::new("own", one_a_minute()).reply(|rejection| {
        assert_eq!(rejection.status, 429);
        let mut reply = axum::http::Response::new("come back later".into());
        *reply.status_mut() = StatusCode::IM_A_TEAPOT;
        reply
    });
    let (url, _clock) = behind(layer).await;
    let client = client();
    assert_eq!(get_status(&client, &url).await, 200);
    let reply = client.get(&url).send().await.unwrap();
    assert_eq!(reply.status(), 418);
    assert_eq!(header(&reply, "retry-after"), Some("60"));
    assert_eq!(header(&reply, "ratelimit"), Some("\"own\";r=0;t=60"));
    assert_eq!(reply.text().await.unwrap(), "come back later");
}
