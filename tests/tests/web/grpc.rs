//! Refused requests get a gRPC status only if they are gRPC calls by their whole shape.

use premier::tower::ThrottleLayer;
use premier_tests::waits::LONGEST;
use reqwest::{Client, Method, Response};

use super::{behind, client, header, one_a_minute};

fn http2() -> Client {
    let builder = Client::builder().timeout(LONGEST).http2_prior_knowledge();
    builder.build().unwrap()
}

/// The refusal of a request of this shape.
async fn refusal(client: &Client, method: Method, content_type: &str) -> Response {
    let layer = ThrottleLayer::new("shapes", one_a_minute());
    let (url, _clock) = behind(layer).await;
    let ask = || {
        client
            .request(method.clone(), &url)
            .header("content-type", content_type)
    };
    assert_eq!(ask().send().await.unwrap().status(), 200);
    ask().send().await.unwrap()
}

#[tokio::test]
async fn a_grpc_call_is_a_post_over_http_2() {
    let reply = refusal(&http2(), Method::POST, "application/grpc+proto").await;
    assert_eq!(reply.status(), 200);
    assert_eq!(header(&reply, "grpc-status"), Some("8"));
    assert_eq!(header(&reply, "content-type"), Some("application/grpc"));
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_grpc_web_call_is_answered_with_its_content_type() {
    for kind in ["application/grpc-web+proto", "application/grpc-web-text"] {
        let reply = refusal(&client(), Method::POST, kind).await;
        assert_eq!(reply.status(), 200);
        assert_eq!(header(&reply, "grpc-status"), Some("8"));
        assert_eq!(header(&reply, "content-type"), Some(kind));
        assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_request_with_only_the_content_type_of_a_call_gets_an_http_status() {
    for (client, method, kind) in [
        (client(), Method::POST, "application/grpc"),
        (client(), Method::GET, "application/grpc"),
        (http2(), Method::GET, "application/grpc"),
        (client(), Method::GET, "application/grpc-web"),
        (client(), Method::POST, "application/grpc-web-anything"),
        (http2(), Method::POST, "application/grpc-anything"),
    ] {
        let reply = refusal(&client, method.clone(), kind).await;
        assert_eq!(reply.status(), 429, "{method} {kind}");
        assert_eq!(header(&reply, "grpc-status"), None, "{method} {kind}");
        assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_custom_reply_may_allow_caching() {
    let layer = ThrottleLayer::new("own cache", one_a_minute()).reply(|rejection| {
        let mut reply = rejection.to_response();
        let private = axum::http::HeaderValue::from_static("private, max-age=1");
        reply.headers_mut().insert("cache-control", private);
        reply
    });
    let (url, _clock) = behind(layer).await;
    let client = client();
    client.get(&url).send().await.unwrap();
    let reply = client.get(&url).send().await.unwrap();
    assert_eq!(header(&reply, "cache-control"), Some("private, max-age=1"));
}
