//! Requests without the parts of their key do not share a limit unless the layer is configured so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::{Connected, MockConnectInfo};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::serve::IncomingStream;
use premier::axum::PeerIp;
use premier::tower::{MissingKey, RequestKey, ThrottleLayer};
use premier::{Error, MemoryHandler, throttle};
use premier_tests::listener::{Listener, is_of_premier};
use premier_tests::waits::{LONGEST, within};
use reqwest::Client;
use tokio::net::{TcpListener, UnixListener};
use tower::{Layer, ServiceExt};
use tracing::Level;

use super::{behind, client, get_status, header, one_a_minute};

/// The warnings of the thread.
#[derive(Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Records the warnings of this thread until the guard is dropped.
    fn record() -> (Self, tracing::subscriber::DefaultGuard) {
        let warnings = Self::default();
        let kept = Arc::clone(&warnings.0);
        let listener = Listener::new(
            |metadata| is_of_premier(metadata) && *metadata.level() == Level::WARN,
            move |_, text| kept.lock().unwrap().push(text),
        );
        let guard = tracing::subscriber::set_default(listener);
        (warnings, guard)
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn layer(name: &str, key: RequestKey) -> ThrottleLayer {
    ThrottleLayer::new(name, one_a_minute())
        .with_config(MemoryHandler::new())
        .key(key)
}

fn app(layer: ThrottleLayer) -> Router {
    Router::new().route("/", get(async || "hello")).layer(layer)
}

/// The status and the body of the response to a request without anything.
async fn ask(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let reply = within("an answer", app.clone().oneshot(request))
        .await
        .unwrap();
    let status = reply.status();
    let body = axum::body::to_bytes(reply.into_body(), 10_000)
        .await
        .unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_request_without_the_header_of_its_key_is_a_bad_request_that_names_it() {
    let key = RequestKey::header("X-Api-Key").and(RequestKey::path());
    let (url, _clock) = behind(ThrottleLayer::new("no header", one_a_minute()).key(key)).await;
    let client = client();
    for _ in 0..2 {
        let reply = client.get(&url).send().await.unwrap();
        assert_eq!(reply.status(), 400);
        assert_eq!(header(&reply, "retry-after"), None);
        assert_eq!(header(&reply, "cache-control"), Some("no-store"));
        assert_eq!(
            header(&reply, "ratelimit-policy"),
            Some("\"no header\";q=1;w=60")
        );
        let problem: serde_json::Value = reply.json().await.unwrap();
        assert_eq!(problem["title"], "Request lacks the header x-api-key");
    }
    let with_header = client.get(&url).header("x-api-key", "k");
    assert_eq!(with_header.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_function_that_finds_no_key_refuses_the_request() {
    let layer = layer("no value", RequestKey::from_fn(|_| None)).reply(|rejection| {
        assert!(matches!(rejection.error, Error::MissingKey { .. }));
        assert!(rejection.error.is_refusal() && !rejection.error.is_retryable());
        rejection.to_response()
    });
    let (status, problem) = ask(&app(layer), "/").await;
    assert_eq!(status, 400);
    assert!(problem.contains("lacks the value"), "{problem}");
}

#[tokio::test]
async fn a_server_without_addresses_is_an_error_that_is_logged_once_with_its_remedy() {
    let (warnings, _guard) = Warnings::record();
    let app = app(layer("no address", RequestKey::peer_ip()));
    for _ in 0..3 {
        let (status, problem) = ask(&app, "/").await;
        assert_eq!(status, 500);
        assert!(
            !problem.contains("ConnectInfo") && !problem.contains("no address"),
            "{problem}"
        );
    }
    let warnings = warnings.all();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in [
        "no address",
        "into_make_service_with_connect_info",
        "peer_from",
        "missing_key",
    ] {
        assert!(warnings[0].contains(part), "{part}: {warnings:?}");
    }
}

#[tokio::test]
async fn missing_keys_share_a_limit_where_the_layer_says_so() {
    for key in [RequestKey::peer_ip(), RequestKey::header("x-api-key")] {
        let app = app(layer("shared", key).missing_key(MissingKey::Shared));
        assert_eq!(ask(&app, "/").await.0, 200);
        assert_eq!(ask(&app, "/").await.0, 429);
    }
}

#[tokio::test]
async fn requests_without_a_key_pass_where_the_layer_says_so() {
    for key in [RequestKey::peer_ip(), RequestKey::header("x-api-key")] {
        let app = app(layer("skipped", key).missing_key(MissingKey::Skip));
        for _ in 0..3 {
            assert_eq!(ask(&app, "/").await.0, 200);
        }
    }
}

#[tokio::test]
async fn a_shadow_layer_refuses_no_request_for_lack_of_a_key() {
    for key in [RequestKey::peer_ip(), RequestKey::header("x-api-key")] {
        let app = app(layer("in the shadow", key).shadow());
        assert_eq!(ask(&app, "/").await.0, 200);
    }
}

#[tokio::test]
async fn a_header_with_fewer_addresses_than_proxies_is_warned_of_once() {
    let (warnings, _guard) = Warnings::record();
    let app = app(layer("too many hops", RequestKey::x_forwarded_for(2)))
        .layer(MockConnectInfo(SocketAddr::from(([10, 0, 0, 1], 80))));
    assert_eq!(ask(&app, "/").await.0, 200);
    assert_eq!(ask(&app, "/").await.0, 429);
    let warnings = warnings.all();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("number of proxies"), "{warnings:?}");
}

#[tokio::test]
async fn a_path_without_a_route_is_not_found_and_a_layer_around_the_router_is_an_error() {
    let key = RequestKey::matched_route();
    let inside = app(layer("routes", key.clone()));
    assert_eq!(ask(&inside, "/nowhere").await.0, 404);
    assert_eq!(ask(&inside, "/").await.0, 200);
    let (warnings, _guard) = Warnings::record();
    let router = Router::new().route("/", get(async || "hello"));
    let around = layer("around routes", key).layer(router);
    let request = Request::get("/").body(Body::empty()).unwrap();
    assert_eq!(around.oneshot(request).await.unwrap().status(), 500);
    assert!(
        warnings.all()[0].contains("Router::layer"),
        "{:?}",
        warnings.all()
    );
}

/// The information that a custom server has about its connections.
#[derive(Clone, Debug)]
struct Connection {
    peer: SocketAddr,
}

impl Connected<IncomingStream<'_, TcpListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let peer = *stream.remote_addr();
        Self { peer }
    }
}

#[tokio::test]
async fn connect_info_of_another_type_has_an_address() {
    let key = RequestKey::peer_ip().peer_from(|extensions| {
        let connection = extensions.get::<ConnectInfo<Connection>>()?;
        Some(connection.0.peer.ip())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = app(layer("other type", key));
    let service = app.into_make_service_with_connect_info::<Connection>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    for (address, status) in [("127.0.0.2", 200), ("127.0.0.3", 200), ("127.0.0.2", 429)] {
        let address: IpAddr = address.parse().unwrap();
        let client = Client::builder().timeout(LONGEST).local_address(address);
        assert_eq!(get_status(&client.build().unwrap(), &url).await, status);
    }
}

#[tokio::test]
async fn a_unix_socket_has_no_address_unless_the_key_gives_it_one() {
    let directory = tempfile::tempdir().unwrap();
    let on_loopback = |_: &axum::http::Extensions| Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let proxies = premier::tower::TrustedProxies::networks(["127.0.0.1"]).unwrap();
    let behind_proxy = RequestKey::x_forwarded_for(proxies);
    for (name, key, statuses) in [
        ("no", RequestKey::peer_ip(), [500, 500]),
        (
            "one",
            RequestKey::peer_ip().peer_from(on_loopback),
            [200, 429],
        ),
        ("distrusted", behind_proxy.clone(), [500, 500]),
        ("proxied", behind_proxy.peer_from(on_loopback), [200, 200]),
    ] {
        let path = directory.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let app = app(layer(name, key));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = Client::builder().timeout(LONGEST).unix_socket(path);
        let client = client.build().unwrap();
        for (status, nth) in statuses.into_iter().zip(1..) {
            let request = client
                .get("http://localhost/")
                .header("x-forwarded-for", format!("9.9.9.{nth}"));
            assert_eq!(request.send().await.unwrap().status(), status, "{name}");
        }
    }
}

#[tokio::test]
async fn a_handler_without_the_address_of_its_peer_is_an_error_unless_it_is_optional() {
    #[throttle(rate = "1/min", key = peer)]
    async fn needs(peer: PeerIp) -> Result<String, Error> {
        Ok(peer.to_string())
    }
    async fn takes(peer: Option<PeerIp>) -> String {
        format!("{peer:?}")
    }

    let app = Router::new()
        .route("/needs", get(needs))
        .route("/takes", get(takes));
    let (warnings, _guard) = Warnings::record();
    for _ in 0..2 {
        let (status, problem) = ask(&app, "/needs").await;
        assert_eq!(status, 500, "{problem}");
    }
    let warnings = warnings.all();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("Option<PeerIp>"), "{warnings:?}");
    assert_eq!(
        ask(&app, "/takes").await,
        (StatusCode::OK, "None".to_owned())
    );
    let app = app.layer(MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 80))));
    assert_eq!(
        ask(&app, "/needs").await,
        (StatusCode::OK, "192.0.2.1".to_owned())
    );
}
