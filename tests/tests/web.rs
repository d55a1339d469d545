//! The layer over real sockets, asked by a real client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Json, Router};
use premier::axum::PeerIp;
use premier::clock::ManualClock;
use premier::tower::{RequestKey, ThrottleLayer};
use premier::{
    Config, Error, Limit, MemoryHandler, OnBackendError, RedisHandler, Throttle, throttle,
};
use reqwest::{Client, StatusCode, Version};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const MINUTE: Duration = Duration::from_secs(60);

/// Serves on a port of its own, by HTTP/1.1 and HTTP/2.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    format!("http://{address}")
}

/// One route `/` behind a layer, and the clock that the layer goes by.
async fn behind(layer: ThrottleLayer) -> (String, ManualClock) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let app = Router::new().route("/", any(async || "hello").layer(layer.handler(handler)));
    (serve(app).await, clock)
}

fn header<'a>(reply: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    reply
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

async fn get_status(client: &Client, url: &str) -> StatusCode {
    client.get(url).send().await.unwrap().status()
}

fn one_a_minute() -> Limit {
    Limit::fixed_window(1, MINUTE)
}

#[tokio::test]
async fn headers_and_problem_are_those_of_the_draft() {
    let layer = ThrottleLayer::new("basic", Limit::fixed_window(2, MINUTE)).older_headers(true);
    let (url, clock) = behind(layer).await;
    let client = Client::new();

    let first = client.get(&url).send().await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(header(&first, "ratelimit"), Some("\"basic\";r=1;t=60"));
    assert_eq!(
        header(&first, "ratelimit-policy"),
        Some("\"basic\";q=2;w=60")
    );
    assert_eq!(header(&first, "x-ratelimit-limit"), Some("2"));
    assert_eq!(header(&first, "x-ratelimit-remaining"), Some("1"));
    assert_eq!(header(&first, "x-ratelimit-reset"), Some("60"));
    assert_eq!(header(&first, "retry-after"), None);
    assert_eq!(first.text().await.unwrap(), "hello");

    clock.advance(Duration::from_millis(1_500));
    let second = client.get(&url).send().await.unwrap();
    assert_eq!(header(&second, "ratelimit"), Some("\"basic\";r=0;t=59"));

    clock.advance(Duration::from_secs(58));
    let denied = client.get(&url).send().await.unwrap();
    assert_eq!(denied.status(), 429);
    // Half a second is left: never 0.
    assert_eq!(header(&denied, "retry-after"), Some("1"));
    assert_eq!(header(&denied, "ratelimit"), Some("\"basic\";r=0;t=1"));
    assert_eq!(
        header(&denied, "content-type"),
        Some("application/problem+json")
    );
    let problem: serde_json::Value = denied.json().await.unwrap();
    assert_eq!(
        problem,
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": 429,
            "violated-policies": ["basic"],
        })
    );

    // Whoever waits as long as was said is admitted.
    clock.advance(Duration::from_secs(1));
    assert_eq!(get_status(&client, &url).await, 200);
}

/// The example of appendix B.3.1: the hour has room, the day is what is told of.
#[tokio::test]
async fn several_limits_tell_of_the_tightest() {
    let layer = ThrottleLayer::all(
        "api",
        &[
            Limit::fixed_window(1_000, 60 * MINUTE),
            Limit::fixed_window(5_000, 24 * 60 * MINUTE),
        ],
    )
    .policies(["hour", "day"])
    .cost(|request| match request.uri.query() {
        Some(cost) => cost.parse().unwrap(),
        None => 0,
    });
    let (url, clock) = behind(layer).await;
    let client = Client::new();
    for _ in 0..5 {
        assert_eq!(get_status(&client, &format!("{url}/?980")).await, 200);
        clock.advance(60 * MINUTE);
    }
    clock.set(14 * 60 * MINUTE);
    let reply = client.get(&url).send().await.unwrap();
    assert_eq!(header(&reply, "ratelimit"), Some("\"day\";r=100;t=36000"));
    assert_eq!(
        header(&reply, "ratelimit-policy"),
        Some("\"hour\";q=1000;w=3600, \"day\";q=5000;w=86400")
    );
    let never = client.get(format!("{url}/?1001")).send().await.unwrap();
    assert_eq!(never.status(), 400);
    assert_eq!(header(&never, "retry-after"), None);
}

/// A proxy that appends the address it was asked from, as they all do.
async fn proxy(
    State(to): State<String>,
    peer: ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let client = Client::new();
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
async fn made_up_addresses_gain_nothing() {
    let layer = ThrottleLayer::new("spoofed", Limit::fixed_window(3, MINUTE))
        .key(RequestKey::x_forwarded_for(1));
    let (url, _clock) = behind(layer).await;
    let front = serve(Router::new().fallback(any(proxy)).with_state(url)).await;
    let client = Client::new();
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
    let one = Client::builder().http1_only().build().unwrap();
    let two = Client::builder().http2_prior_knowledge().build().unwrap();
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
    let client = Client::new();
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
    // Now even the right one: whoever guesses must not learn that a guess was right.
    assert_eq!(get_status(&client, &right).await, 429);
    assert_eq!(get_status(&client, &wrong).await, 429);
}

#[tokio::test]
async fn guesses_at_one_time_cannot_overdraw() {
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
    let client = Client::new();
    let mut guesses = JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (client.clone(), url.clone());
        guesses.spawn(async move { get_status(&client, &url).await });
    }
    let statuses = guesses.join_all().await;
    assert_eq!(tried.load(Ordering::Relaxed), 5);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 45);
}

#[tokio::test]
async fn what_is_skipped_costs_nothing() {
    let layer = ThrottleLayer::new("skips", one_a_minute())
        .skip_if(|request| request.headers.contains_key("x-internal"));
    let (url, _clock) = behind(layer).await;
    let client = Client::new();
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
async fn a_shadow_blocks_nothing() {
    let (url, _clock) = behind(ThrottleLayer::new("shadow", one_a_minute()).shadow()).await;
    let client = Client::new();
    for _ in 0..3 {
        let reply = client.get(&url).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(header(&reply, "ratelimit"), None);
    }
}

#[tokio::test]
async fn who_may_wait_waits_and_who_would_wait_too_long_is_told_at_once() {
    let layer = ThrottleLayer::new(
        "waits",
        Limit::token_bucket(20, Duration::from_secs(1)).burst(1),
    )
    .wait_at_most(Duration::from_millis(220));
    let url = serve(Router::new().route("/", get(async || "ok").layer(layer))).await;
    let client = Client::new();
    let start = Instant::now();
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
    let replies = calls.join_all().await;
    let admitted = replies.iter().filter(|(status, _)| *status == 200).count();
    // One at once, and one each 50 ms.
    assert!((4..=6).contains(&admitted), "{replies:?}");
    assert!(start.elapsed() >= Duration::from_millis(150));
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
    let client = Client::new();
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let (client, url) = (client.clone(), url.clone());
        calls.spawn(async move { get_status(&client, &url).await });
    }
    assert!(calls.join_all().await.iter().all(|status| *status == 200));
    assert!(start.elapsed() >= Duration::from_millis(149));
}

/// Nothing listens there.
fn nowhere(policy: OnBackendError) -> Config {
    Config::new(RedisHandler::connect("redis://127.0.0.1:1/").unwrap()).on_backend_error(policy)
}

#[tokio::test]
async fn an_outage_follows_the_policy() {
    let client = Client::new();
    for (policy, statuses) in [
        (OnBackendError::Deny, [503, 503]),
        (OnBackendError::Allow, [200, 200]),
        (OnBackendError::Memory, [200, 429]),
    ] {
        let layer = ThrottleLayer::new("outage", one_a_minute()).handler(nowhere(policy));
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
async fn a_reply_of_ones_own_keeps_the_headers() {
    let layer = ThrottleLayer::new("own", one_a_minute()).reply(|rejection| {
        assert_eq!(rejection.status, 429);
        let mut reply = axum::http::Response::new("come back later".into());
        *reply.status_mut() = StatusCode::IM_A_TEAPOT;
        reply
    });
    let (url, _clock) = behind(layer).await;
    let client = Client::new();
    assert_eq!(get_status(&client, &url).await, 200);
    let reply = client.get(&url).send().await.unwrap();
    assert_eq!(reply.status(), 418);
    assert_eq!(header(&reply, "retry-after"), Some("60"));
    assert_eq!(header(&reply, "ratelimit"), Some("\"own\";r=0;t=60"));
    assert_eq!(reply.text().await.unwrap(), "come back later");
}

#[tokio::test]
async fn headers_can_be_left_out() {
    let (url, _clock) = behind(ThrottleLayer::new("bare", one_a_minute()).headers(false)).await;
    let client = Client::new();
    for status in [200, 429] {
        let reply = client.get(&url).send().await.unwrap();
        assert_eq!(reply.status(), status);
        assert_eq!(header(&reply, "ratelimit"), None);
        assert_eq!(header(&reply, "ratelimit-policy"), None);
        assert_eq!(header(&reply, "retry-after").is_some(), status == 429);
    }
}

#[tokio::test]
async fn keys_are_parts_of_requests_and_routes_have_layers_of_their_own() {
    let per_route =
        ThrottleLayer::new("per route", one_a_minute()).key(RequestKey::matched_route());
    let per_pair = ThrottleLayer::new("per pair", one_a_minute())
        .key(RequestKey::header("x-user").and(RequestKey::path()));
    let app = Router::new()
        .route("/users/{id}", get(async || "user"))
        .route("/shops/{id}", get(async || "shop"))
        .route_layer(per_route)
        .merge(Router::new().route("/pair/{id}", get(async || "pair").layer(per_pair)));
    let url = serve(app).await;
    let client = Client::new();
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
        // Those without share one.
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
async fn annotated_handlers_answer_by_themselves() {
    let app = Router::new()
        .route("/annotated", get(annotated))
        .route("/without", get(without_result))
        .route("/mark", get(with_question_mark));
    let url = serve(app).await;
    let client = Client::new();
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
        // Nothing of the key or the function.
        assert!(
            !problem.contains("127.0.0.1") && !problem.contains("web"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_client_sends_as_its_limit_allows() {
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
        let reply = client.ready().await.unwrap().call(request).await.unwrap();
        statuses.push(reply.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_change_of_the_limit_shows_in_the_headers() {
    let (url, _clock) = behind(ThrottleLayer::new(
        "changing",
        Limit::fixed_window(2, MINUTE),
    ))
    .await;
    let client = Client::new();
    let policy = async || {
        let reply = client.get(&url).send().await.unwrap();
        header(&reply, "ratelimit-policy").unwrap().to_owned()
    };
    assert_eq!(policy().await, "\"changing\";q=2;w=60");
    premier::limits::set("changing", Limit::fixed_window(5, MINUTE)).unwrap();
    assert_eq!(policy().await, "\"changing\";q=5;w=60");
    premier::limits::reset("changing");
    assert_eq!(policy().await, "\"changing\";q=2;w=60");
}

#[tokio::test]
async fn a_grpc_service_is_limited() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder()
        .layer(ThrottleLayer::new("grpc", one_a_minute()))
        .add_service(health)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
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
