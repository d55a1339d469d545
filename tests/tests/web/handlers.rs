//! Axum handlers that return premier's error.

use axum::routing::get;
use axum::{Json, Router};
use premier::axum::PeerIp;
use premier::{Error, Throttle, throttle};

use super::{client, header, one_a_minute, serve};

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
