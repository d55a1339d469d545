//! The layer behind a real nginx: one proxy, two proxies, a cache, and gRPC.
//!
//! Clients and proxies have addresses of their own in the loopback network, as they have in a real one.

use std::net::IpAddr;

use premier::tower::{RequestKey, ThrottleLayer, TrustedProxies};
use premier_tests::nginx::Nginx;
use premier_tests::waits::LONGEST;
use reqwest::Client;
use tokio::net::TcpListener;

use super::{behind, header, one_a_minute};

const INNER_PROXY: &str = "127.0.1.1";
const OUTER_PROXY: &str = "127.0.1.2";

fn proxies() -> TrustedProxies {
    TrustedProxies::networks(["127.0.1.0/24"]).unwrap()
}

/// A client with this address.
fn client_at(address: &str) -> Client {
    let address: IpAddr = address.parse().unwrap();
    let builder = Client::builder().timeout(LONGEST).local_address(address);
    builder.build().unwrap()
}

/// An nginx that appends its client to the headers of the requests that it passes on from `address`.
fn appending(to: &str, address: &str, more: &str) -> Nginx {
    Nginx::start(&format!(
        "location / {{
            proxy_pass {to};
            proxy_bind {address};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Forwarded \"$http_forwarded, for=$remote_addr\";
            {more}
        }}"
    ))
}

/// The outermost proxy, which overwrites a header, too.
fn outermost(to: &str, address: &str) -> Nginx {
    appending(to, address, "proxy_set_header X-Real-IP $remote_addr;")
}

/// The statuses of three requests that pretend to come from elsewhere.
async fn statuses_of_forged(client: &Client, url: &str) -> [u16; 3] {
    let mut statuses = [0; 3];
    for (status, nth) in statuses.iter_mut().zip(1..) {
        let request = client
            .get(url)
            .header("x-forwarded-for", format!("9.9.9.{nth}, 127.0.1.9"))
            .header("forwarded", format!("for=9.9.9.{nth}, for=127.0.1.9"))
            .header("x-real-ip", format!("9.9.9.{nth}"));
        *status = request.send().await.unwrap().status().as_u16();
    }
    statuses
}

/// Asserts that each client has its own limit at `url`, whatever its headers say.
async fn assert_own_limits(url: &str, key: &str) {
    for address in ["127.0.0.2", "127.0.0.3"] {
        let statuses = statuses_of_forged(&client_at(address), url).await;
        assert_eq!(statuses, [200, 429, 429], "{address} by {key}");
    }
}

fn keys(hops: usize) -> Vec<RequestKey> {
    vec![
        RequestKey::x_forwarded_for(hops),
        RequestKey::x_forwarded_for(proxies()),
        RequestKey::forwarded(hops),
        RequestKey::forwarded(proxies()),
        RequestKey::ip_header("X-Real-IP", hops),
        RequestKey::ip_header("X-Real-IP", proxies()),
    ]
}

#[tokio::test]
async fn behind_one_proxy_each_client_has_its_limit() {
    for key in keys(1) {
        let name = format!("{key:?}");
        let layer = ThrottleLayer::new("one hop", one_a_minute()).key(key);
        let (url, _clock) = behind(layer).await;
        let proxy = outermost(&url, INNER_PROXY);
        assert_own_limits(&proxy.url(), &name).await;
    }
}

#[tokio::test]
async fn behind_two_proxies_each_client_has_its_limit() {
    for key in keys(2) {
        let name = format!("{key:?}");
        let layer = ThrottleLayer::new("two hops", one_a_minute()).key(key);
        let (url, _clock) = behind(layer).await;
        let inner = appending(&url, INNER_PROXY, "");
        let outer = outermost(&inner.url(), OUTER_PROXY);
        assert_own_limits(&outer.url(), &name).await;
    }
}

#[tokio::test]
async fn around_the_trusted_networks_no_header_is_believed() {
    for key in [
        RequestKey::x_forwarded_for(proxies()),
        RequestKey::forwarded(proxies()),
        RequestKey::ip_header("X-Real-IP", proxies()),
    ] {
        let name = format!("{key:?}");
        let layer = ThrottleLayer::new("around", one_a_minute()).key(key);
        let (url, _clock) = behind(layer).await;
        assert_own_limits(&url, &name).await;
    }
}

#[tokio::test]
async fn a_cache_in_front_never_answers_with_a_refusal() {
    let layer = ThrottleLayer::new("cached", one_a_minute()).key(RequestKey::header("x-user"));
    let (url, _clock) = behind(layer).await;
    let cache = Nginx::start(&format!(
        "location / {{
            proxy_pass {url};
            proxy_cache responses;
            proxy_cache_valid any 1h;
            add_header X-Cache $upstream_cache_status always;
        }}"
    ));
    let client = client_at("127.0.0.2");
    let ask = async |page: &str, user: Option<&str>, content_type: Option<&str>| {
        let mut request = client.get(format!("{}/?{page}", cache.url()));
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let reply = request.send().await.unwrap();
        let cached = header(&reply, "x-cache").unwrap().to_owned();
        let status = reply.status().as_u16();
        (status, cached, reply.text().await.unwrap())
    };
    let hello = |cached: &str| (200, cached.to_owned(), "hello".to_owned());
    assert_eq!(ask("first", Some("a"), None).await, hello("MISS"));
    // The cache answers later requests for this page.
    assert_eq!(ask("first", Some("a"), None).await, hello("HIT"));
    let refusals = [
        ("denied", Some("a"), None, 429),
        ("grpc", Some("a"), Some("application/grpc"), 429),
        (
            "grpc-web",
            Some("a"),
            Some("application/grpc-web+proto"),
            429,
        ),
        ("keyless", None, None, 400),
    ];
    for (page, user, content_type, status) in refusals {
        let refused = ask(page, user, content_type).await;
        assert_eq!((refused.0, &*refused.1), (status, "MISS"), "{page}");
        let other_user = ask(page, Some(page), content_type).await;
        assert_eq!(other_user, hello("MISS"), "{page}");
        let again = ask(page, Some(page), content_type).await;
        assert_eq!(again, hello("HIT"), "{page}");
    }
}

#[tokio::test]
async fn a_grpc_client_behind_a_proxy_gets_a_grpc_status() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let layer =
        ThrottleLayer::new("proxied grpc", one_a_minute()).key(RequestKey::x_forwarded_for(1));
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let serving = tonic::transport::Server::builder()
        .layer(layer)
        .add_service(health)
        .serve_with_incoming(incoming);
    tokio::spawn(serving);
    let proxy = Nginx::http2(&format!(
        "location / {{
            grpc_pass grpc://{server};
            grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}"
    ));
    let channel = tonic::transport::Endpoint::from_shared(proxy.url())
        .unwrap()
        .connect_timeout(LONGEST)
        .timeout(LONGEST);
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    client.check(HealthCheckRequest::default()).await.unwrap();
    let status = client
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
}
