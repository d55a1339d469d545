//! Keys that are parts of a request.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use premier::tower::{MissingKey, RequestKey, ThrottleLayer};
use premier::{Limit, MemoryHandler};
use premier_tests::waits::LONGEST;
use reqwest::{Client, StatusCode, Version};
use tower::ServiceExt;

use super::{MINUTE, behind, client, get_status, header, one_a_minute, serve};

/// A proxy that appends the address of its client to `X-Forwarded-For`.
async fn proxy(
    State(to): State<String>,
    peer: ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let client = client();
    let mut forwarded: Vec<String> = request
        .headers()
        .get_all("x-forwarded-for")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    forwarded.push(peer.0.ip().to_string());
    let reply = client
        .get(to)
        .header("x-forwarded-for", forwarded.join(", "))
        .send()
        .await
        .unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reply.status();
    response
}

#[tokio::test]
async fn spoofed_addresses_share_the_limit_of_their_client() {
    let layer = ThrottleLayer::new("spoofed", Limit::fixed_window(3, MINUTE))
        .key(RequestKey::x_forwarded_for(1));
    let (url, _clock) = behind(layer).await;
    let front = serve(Router::new().fallback(any(proxy)).with_state(url)).await;
    let client = client();
    let mut admitted = 0;
    for nth in 0..20 {
        let reply = client
            .get(&front)
            .header("x-forwarded-for", format!("10.0.0.{nth}"))
            .header("forwarded", format!("for=10.1.0.{nth}"))
            .send()
            .await
            .unwrap();
        admitted += usize::from(reply.status() == 200);
    }
    assert_eq!(admitted, 3);
}

#[tokio::test]
async fn http_1_and_http_2_share_a_limit() {
    let layer =
        ThrottleLayer::new("versions", Limit::fixed_window(4, MINUTE)).key(RequestKey::peer_ip());
    let (url, _clock) = behind(layer).await;
    let one = Client::builder()
        .timeout(LONGEST)
        .http1_only()
        .build()
        .unwrap();
    let two = Client::builder()
        .timeout(LONGEST)
        .http2_prior_knowledge()
        .build()
        .unwrap();
    for (client, version) in [(&one, Version::HTTP_11), (&two, Version::HTTP_2)] {
        for _ in 0..2 {
            let reply = client.get(&url).send().await.unwrap();
            assert_eq!((reply.status(), reply.version()), (StatusCode::OK, version));
            assert!(header(&reply, "ratelimit").is_some());
        }
    }
    for client in [&one, &two] {
        let reply = client.get(&url).send().await.unwrap();
        assert_eq!(reply.status(), 429);
        assert!(reply.text().await.unwrap().contains("quota-exceeded"));
    }
}

#[tokio::test]
async fn a_key_may_combine_parts_of_a_request_and_each_route_may_have_its_layer() {
    let per_route =
        ThrottleLayer::new("per route", one_a_minute()).key(RequestKey::matched_route());
    let per_pair = ThrottleLayer::new("per pair", one_a_minute())
        .key(RequestKey::header("x-user").and(RequestKey::path()))
        .missing_key(MissingKey::Shared);
    let app = Router::new()
        .route("/users/{id}", get(async || "user"))
        .route("/shops/{id}", get(async || "shop"))
        .route_layer(per_route)
        .merge(Router::new().route("/pair/{id}", get(async || "pair").layer(per_pair)));
    let url = serve(app).await;
    let client = client();
    for (path, status) in [
        ("/users/1", 200),
        ("/users/2", 429),
        ("/shops/1", 200),
        ("/shops/2", 429),
    ] {
        assert_eq!(
            get_status(&client, &format!("{url}{path}")).await,
            status,
            "{path}"
        );
    }
    for (user, path, status) in [
        (Some("a"), "/pair/1", 200),
        (Some("b"), "/pair/1", 200),
        (Some("a"), "/pair/2", 200),
        (Some("a"), "/pair/1", 429),
        // Requests without the header share one key.
        (None, "/pair/1", 200),
        (None, "/pair/1", 429),
    ] {
        let mut request = client.get(format!("{url}{path}"));
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        assert_eq!(
            request.send().await.unwrap().status(),
            status,
            "{user:?} {path}"
        );
    }
}

/// The statuses of requests from these peers, one after the other, under a limit of one request.
async fn statuses_by_peer(key: RequestKey, peers: &[&str]) -> Vec<u16> {
    let layer = ThrottleLayer::new("networks", one_a_minute())
        .with_config(MemoryHandler::new())
        .key(key);
    let app = Router::new().route("/", get(async || "hello")).layer(layer);
    let mut statuses = Vec::new();
    for peer in peers {
        let mut request = Request::new(Body::empty());
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        request.extensions_mut().insert(ConnectInfo(peer));
        let reply = app.clone().oneshot(request).await.unwrap();
        statuses.push(reply.status().as_u16());
    }
    statuses
}

#[tokio::test]
async fn ipv4_clients_behind_a_translator_have_a_limit_each() {
    for prefix in ["64:ff9b::", "::ffff:", "::"] {
        let [one, other] = ["8.8.8.8", "9.9.9.9"].map(|client| format!("{prefix}{client}"));
        let peers = [&*one, &*other, &*one, "8.8.8.8"];
        let statuses = statuses_by_peer(RequestKey::peer_ip(), &peers).await;
        assert_eq!(statuses, [200, 200, 429, 429], "{prefix}");
    }
}

#[tokio::test]
async fn the_prefix_decides_how_many_ipv6_networks_share_a_limit() {
    let peers = [
        "2001:db8:1:10::1",
        "2001:db8:1:1f::1",
        "2001:db8:1:f0::1",
        "2001:db8:1:100::1",
    ];
    for (prefix, expected) in [
        (64, [200, 200, 200, 200]),
        (60, [200, 429, 200, 200]),
        (56, [200, 429, 429, 200]),
        (48, [200, 429, 429, 429]),
    ] {
        let key = RequestKey::peer_ip().ipv6_prefix(prefix);
        assert_eq!(statuses_by_peer(key, &peers).await, expected, "/{prefix}");
    }
}
