//! Axum handlers that return premier's error.

use std::sync::LazyLock;

use axum::routing::get;
use axum::{Json, Router};
use premier::axum::PeerIp;
use premier::{Error, Throttle, throttle};

use super::{client, get_status, header, one_a_minute, serve};

#[throttle(rate = "1/min", key = peer)]
async fn annotated(peer: PeerIp) -> Result<Json<String>, Error> {
    Ok(Json(peer.to_string()))
}

#[throttle(rate = "1/min", name = "changed signature")]
async fn without_result() -> &'static str {
    "once"
}

async fn with_question_mark() -> Result<&'static str, Error> {
    let throttle = Throttle::new("question mark", one_a_minute());
    throttle.acquire_async("all").await?;
    Ok("once")
}

#[tokio::test]
async fn an_error_returned_by_a_handler_becomes_a_problem_reply() {
    let app = Router::new()
        .route("/annotated", get(annotated))
        .route("/without", get(without_result))
        .route("/mark", get(with_question_mark));
    let url = serve(app).await;
    let client = client();
    for (path, body) in [
        ("/annotated", "\"127.0.0.1\""),
        ("/without", "once"),
        ("/mark", "once"),
    ] {
        let url = format!("{url}{path}");
        let first = client.get(&url).send().await.unwrap();
        assert_eq!(first.status(), 200);
        assert_eq!(first.text().await.unwrap(), body);
        let second = client.get(&url).send().await.unwrap();
        assert_eq!(second.status(), 429);
        assert_eq!(header(&second, "retry-after"), Some("60"));
        assert_eq!(
            header(&second, "content-type"),
            Some("application/problem+json")
        );
        let problem = second.text().await.unwrap();
        // The reply reveals neither the key nor the function.
        assert!(
            !problem.contains("127.0.0.1") && !problem.contains("web"),
            "{problem}"
        );
    }
}

#[throttle(limits("1/10s", "2/min"), algo = "sliding_log", key = peer)]
async fn two_limits(peer: PeerIp) -> Result<String, Error> {
    Ok(peer.to_string())
}

#[tokio::test]
async fn a_refused_call_of_a_handler_has_the_headers_of_a_layer() {
    let app = Router::new()
        .route("/unnamed", get(unnamed))
        .route("/mark", get(throttled))
        .route("/search", get(two_limits));
    let url = serve(app).await;
    let client = client();
    // Responses do not reveal the path of a function.
    let default = ("\"default\";r=0;t=60", "\"default\";q=1;w=60");
    let mark = ("\"mark\";r=0;t=60", "\"mark\";q=1;w=60");
    let search = (
        "\"default\";r=0;t=10",
        "\"default\";q=1;w=10, \"default-2\";q=2;w=60",
    );
    for (path, (rate_limit, policy)) in
        [("/unnamed", default), ("/mark", mark), ("/search", search)]
    {
        let url = format!("{url}{path}");
        assert_eq!(get_status(&client, &url).await, 200);
        let denied = client.get(&url).send().await.unwrap();
        assert_eq!(denied.status(), 429);
        assert_eq!(header(&denied, "ratelimit"), Some(rate_limit));
        assert_eq!(header(&denied, "ratelimit-policy"), Some(policy));
        let name = rate_limit.split('"').nth(1).unwrap();
        let problem: serde_json::Value = denied.json().await.unwrap();
        assert_eq!(problem["violated-policies"], serde_json::json!([name]));
    }
}

#[throttle(rate = "1/min")]
async fn unnamed() -> Result<&'static str, Error> {
    Ok("once")
}

async fn throttled() -> Result<&'static str, Error> {
    static THROTTLE: LazyLock<Throttle> = LazyLock::new(|| Throttle::new("mark", one_a_minute()));
    THROTTLE.acquire_async("all").await?;
    Ok("once")
}
