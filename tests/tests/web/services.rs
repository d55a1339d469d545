//! The layer around other services: an HTTP client and a gRPC server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use premier::Limit;
use premier::tower::{RequestKey, ThrottleLayer};
use premier_tests::waits::{LONGEST, within};
use tokio::net::TcpListener;

use super::{MINUTE, one_a_minute, serve};

#[tokio::test]
async fn a_layer_around_a_client_limits_its_requests() {
    use hyper_util::client::legacy;
    use hyper_util::rt::TokioExecutor;
    use tower::{Service, ServiceBuilder, ServiceExt};

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let url = serve(Router::new().route(
        "/",
        get(async move || {
            count.fetch_add(1, Ordering::Relaxed);
            "ok"
        }),
    ))
    .await;
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut client = ServiceBuilder::new()
        .layer(ThrottleLayer::new(
            "outgoing",
            Limit::fixed_window(2, MINUTE),
        ))
        .service(client);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let request = axum::http::Request::get(&url).body(Body::empty()).unwrap();
        let reply = within("the client replies", async {
            client.ready().await.unwrap().call(request).await.unwrap()
        })
        .await;
        statuses.push(reply.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_layer_around_a_grpc_server_limits_its_calls() {
    use tonic_health::pb::HealthCheckRequest;

    let mut client = grpc_health(ThrottleLayer::new("grpc", one_a_minute())).await;
    let reply = client.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(
        reply.metadata().get("ratelimit").unwrap(),
        "\"grpc\";r=0;t=60"
    );
    let status = client
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.metadata().get("retry-after").unwrap(), "60");
}

/// A server of tonic with a layer. Returns a client.
async fn grpc_health(
    layer: ThrottleLayer,
) -> tonic_health::pb::health_client::HealthClient<tonic::transport::Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder()
        .layer(layer)
        .add_service(health)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let endpoint = tonic::transport::Endpoint::from_shared(url).unwrap();
    let endpoint = endpoint.connect_timeout(LONGEST).timeout(LONGEST);
    tonic_health::pb::health_client::HealthClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test]
async fn a_grpc_server_has_the_address_of_its_peer_where_the_key_says_so() {
    use tonic::transport::server::TcpConnectInfo;
    use tonic_health::pb::HealthCheckRequest;

    let layer = ThrottleLayer::new("grpc peers", one_a_minute());
    let peer = RequestKey::peer_ip();
    let mut client = grpc_health(layer.clone().key(peer.clone())).await;
    let missing = client.check(HealthCheckRequest::default()).await;
    assert_eq!(missing.unwrap_err().code(), tonic::Code::Internal);

    let peer = peer.peer_from(|extensions| {
        let address = extensions.get::<TcpConnectInfo>()?.remote_addr()?;
        Some(address.ip())
    });
    let mut client = grpc_health(layer.key(peer)).await;
    client.check(HealthCheckRequest::default()).await.unwrap();
    let denied = client.check(HealthCheckRequest::default()).await;
    assert_eq!(denied.unwrap_err().code(), tonic::Code::ResourceExhausted);
}
