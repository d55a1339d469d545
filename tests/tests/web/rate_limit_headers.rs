//! The exact headers of the tower layer, and a client that obeys them and is never denied.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers-11. The client is written from its section 7.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use premier::clock::ManualClock;
use premier::tower::{HeaderFormat, RequestKey, ThrottleBody, ThrottleLayer};
use premier::{Limit, MemoryHandler};
use premier_tests::waits::within;
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

type Reply = Response<ThrottleBody<Body>>;

/// A service with a layer, on a clock of its own.
struct Case<S> {
    clock: ManualClock,
    service: S,
}

fn behind(
    layer: ThrottleLayer,
) -> Case<impl Service<Request<()>, Response = Reply, Error = Infallible> + Clone> {
    around(layer, |_| {})
}

/// A service whose responses have headers of its own.
fn around(
    layer: ThrottleLayer,
    set: impl Fn(&mut HeaderMap) + Clone,
) -> Case<impl Service<Request<()>, Response = Reply, Error = Infallible> + Clone> {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let service = layer
        .with_config(handler)
        .layer(service_fn(move |_: Request<()>| {
            let mut response = Response::new(Body::empty());
            set(response.headers_mut());
            std::future::ready(Ok::<_, Infallible>(response))
        }));
    Case { clock, service }
}

impl<S> Case<S>
where
    S: Service<Request<()>, Response = Reply, Error = Infallible> + Clone,
{
    async fn get(&self, uri: &str) -> Reply {
        let request = Request::builder().uri(uri).body(()).unwrap();
        within("an answer", self.service.clone().oneshot(request))
            .await
            .unwrap()
    }
}

/// All values of a header, as one list.
fn list(reply: &Reply, name: &str) -> Option<String> {
    let values = reply.headers().get_all(name);
    let values: Vec<&str> = values.iter().map(|value| value.to_str().unwrap()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn number(reply: &Reply, name: &str) -> Option<u64> {
    Some(list(reply, name)?.parse().unwrap())
}

async fn violated(reply: Reply) -> Vec<String> {
    let bytes = axum::body::to_bytes(Body::new(reply.into_body()), 10_000).await;
    let problem: serde_json::Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
    let names = problem["violated-policies"].as_array().unwrap();
    names
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// One request: at this time in milliseconds, its status, `RateLimit` and `Retry-After`.
type Row = (u64, u16, &'static str, Option<u64>);

#[tokio::test]
async fn each_request_of_a_sequence_has_exactly_these_headers() {
    let sequences: [(Limit, &str, &[Row]); 8] = [
        (
            Limit::fixed_window(2, MINUTE),
            "\"p\";q=2;w=60",
            &[
                (0, 200, "\"p\";r=1;t=60", None),
                (1_500, 200, "\"p\";r=0;t=59", None),
                (59_500, 429, "\"p\";r=0;t=1", Some(1)),
                (60_000, 200, "\"p\";r=1;t=60", None),
            ],
        ),
        (
            // A unit comes back every ten seconds.
            Limit::token_bucket(6, MINUTE).burst(3),
            "\"p\";q=3;w=30",
            &[
                (0, 200, "\"p\";r=2;t=10", None),
                (4_000, 200, "\"p\";r=1;t=6", None),
                (4_000, 200, "\"p\";r=0;t=6", None),
                (4_001, 429, "\"p\";r=0;t=6", Some(6)),
                (10_000, 200, "\"p\";r=0;t=10", None),
                (100_000, 200, "\"p\";r=2;t=10", None),
            ],
        ),
        (
            Limit::token_bucket(100, MINUTE).burst(200),
            "\"p\";q=200;w=120",
            &[(0, 200, "\"p\";r=199;t=1", None)],
        ),
        (
            Limit::token_bucket(10, SECOND).burst(1),
            "\"p\";q=10;w=1",
            &[
                (0, 200, "\"p\";r=0;t=1", None),
                (99, 429, "\"p\";r=0;t=1", Some(1)),
                (100, 200, "\"p\";r=0;t=1", None),
            ],
        ),
        (
            Limit::sliding_log(3, MINUTE),
            "\"p\";q=3;w=60",
            &[
                (0, 200, "\"p\";r=2;t=60", None),
                (10_000, 200, "\"p\";r=1;t=50", None),
                (20_000, 200, "\"p\";r=0;t=40", None),
                (30_000, 429, "\"p\";r=0;t=30", Some(30)),
                (60_000, 200, "\"p\";r=0;t=10", None),
            ],
        ),
        (
            // The units of a window begin to leave just after it has ended.
            Limit::sliding_window(4, MINUTE),
            "\"p\";q=4;w=60",
            &[
                (0, 200, "\"p\";r=3;t=61", None),
                (30_000, 200, "\"p\";r=2;t=31", None),
                (30_000, 200, "\"p\";r=1;t=31", None),
                (30_000, 200, "\"p\";r=0;t=31", None),
                (59_000, 429, "\"p\";r=0;t=2", Some(2)),
                // floor(4 · (60 − e) / 60) is 3 until e = 15 s.
                (61_000, 200, "\"p\";r=0;t=15", None),
            ],
        ),
        (
            Limit::leaky_bucket(6, MINUTE).bucket_size(0),
            "\"p\";q=1;w=10",
            &[
                (0, 200, "\"p\";r=0;t=10", None),
                (2_500, 429, "\"p\";r=0;t=8", Some(8)),
                (10_000, 200, "\"p\";r=0;t=10", None),
            ],
        ),
        (
            Limit::fixed_window(3, Duration::from_millis(1_500)),
            "\"p\";q=4;w=2",
            &[
                (0, 200, "\"p\";r=2;t=2", None),
                (1_400, 200, "\"p\";r=1;t=1", None),
            ],
        ),
    ];
    for (limit, policy, rows) in sequences {
        let case = behind(ThrottleLayer::new("p", limit));
        for (at, status, rate_limit, retry_after) in rows {
            case.clock.set(Duration::from_millis(*at));
            let reply = case.get("/").await;
            let name = format!("{limit} at {at} ms");
            assert_eq!(reply.status(), *status, "{name}");
            assert_eq!(
                list(&reply, "ratelimit").as_deref(),
                Some(*rate_limit),
                "{name}"
            );
            assert_eq!(
                list(&reply, "ratelimit-policy").as_deref(),
                Some(policy),
                "{name}"
            );
            assert_eq!(number(&reply, "retry-after"), *retry_after, "{name}");
        }
    }
}

/// A client that keeps to the available quota within the effective window of each policy.
#[derive(Default)]
struct Client {
    /// Of each policy: how many requests may still be sent, and until when no more.
    limits: BTreeMap<String, (u64, Duration)>,
    retry_at: Duration,
}

impl Client {
    /// When the next request may be sent.
    fn next_at(&self, now: Duration) -> Duration {
        let exhausted = self.limits.values().filter(|(left, _)| *left == 0);
        let ends = exhausted.map(|(_, end)| *end);
        ends.chain([self.retry_at, now]).max().unwrap()
    }

    /// How many requests may be sent at once.
    fn available(&self, now: Duration) -> u64 {
        // Nothing is known about the window after one that has ended, so one request is sent.
        let left = |&(left, end): &(u64, Duration)| if now >= end { left.max(1) } else { left };
        self.limits.values().map(left).min().unwrap_or(1)
    }

    fn read(&mut self, reply: &Reply, now: Duration) {
        let quota = |name: &str| -> u64 {
            let policies = list(reply, "ratelimit-policy").unwrap();
            let policy = policies
                .split(", ")
                .find(|policy| policy.starts_with(name))
                .unwrap();
            let (_, quota) = policy.split_once(";q=").unwrap();
            quota.split(';').next().unwrap().parse().unwrap()
        };
        self.limits.clear();
        for item in list(reply, "ratelimit").unwrap().split(", ") {
            let (name, parameters) = item.split_once(";r=").unwrap();
            let (left, after) = parameters.split_once(";t=").unwrap();
            let (left, after) = (left.parse().unwrap(), after.parse().unwrap());
            assert!(left <= quota(name), "{item}");
            let end = now + Duration::from_secs(after);
            self.limits.insert(name.to_owned(), (left, end));
        }
    }
}

/// Numbers that look random, the same in every run.
fn pseudo_random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

#[tokio::test]
async fn a_client_that_obeys_the_headers_is_never_denied() {
    let cases: [&[Limit]; 13] = [
        &[Limit::fixed_window(5, 10 * SECOND)],
        &[Limit::fixed_window(7, Duration::from_millis(1_300))],
        &[Limit::sliding_window(5, 10 * SECOND)],
        &[Limit::sliding_window(100, MINUTE)],
        &[Limit::sliding_log(5, 10 * SECOND)],
        &[Limit::token_bucket(5, 10 * SECOND)],
        &[Limit::token_bucket(7, 10 * SECOND).burst(3)],
        &[Limit::token_bucket(3, SECOND).burst(20)],
        &[Limit::leaky_bucket(3, 10 * SECOND).bucket_size(0)],
        &[
            Limit::token_bucket(4, SECOND),
            Limit::token_bucket(20, MINUTE),
        ],
        &[
            Limit::fixed_window(4, SECOND),
            Limit::fixed_window(4, MINUTE),
        ],
        &[
            Limit::sliding_log(6, 5 * SECOND),
            Limit::sliding_log(9, MINUTE),
        ],
        &[
            Limit::sliding_window(4, SECOND),
            Limit::sliding_window(9, 10 * SECOND),
            Limit::sliding_window(20, MINUTE),
        ],
    ];
    for limits in cases {
        for seed in 1..=20 {
            let case = behind(ThrottleLayer::all("p", limits));
            let mut random = pseudo_random(seed);
            let (mut client, mut now) = (Client::default(), Duration::ZERO);
            for _ in 0..60 {
                if random(2) == 0 {
                    now += Duration::from_millis(random(4_000));
                }
                now = client.next_at(now);
                case.clock.set(now);
                let at_once = client.available(now);
                // Some of those that may be sent, before any of their responses is read.
                let sent = if random(2) == 0 {
                    at_once
                } else {
                    1 + random(at_once)
                };
                for index in 0..sent {
                    let reply = case.get("/").await;
                    assert_eq!(
                        reply.status(),
                        200,
                        "{limits:?}, seed {seed}, {index} of {sent} at {now:?}"
                    );
                    if index + 1 == sent {
                        client.read(&reply, now);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_denied_client_that_waits_is_admitted_and_retry_after_is_never_before_t() {
    for limits in [
        &[Limit::token_bucket(10, 3 * SECOND).burst(4)] as &[Limit],
        &[Limit::sliding_window(9, 7 * SECOND)],
        &[Limit::sliding_log(9, 7 * SECOND)],
        &[
            Limit::fixed_window(4, SECOND),
            Limit::fixed_window(9, MINUTE),
        ],
    ] {
        let layer = ThrottleLayer::all("p", limits)
            .cost(|request| request.uri.query().unwrap().parse().unwrap());
        let case = behind(layer);
        let mut random = pseudo_random(7);
        let mut now = Duration::ZERO;
        let mut denials = 0;
        for _ in 0..300 {
            now += Duration::from_millis(random(1_500));
            case.clock.set(now);
            let uri = format!("/?{}", 1 + random(4));
            let reply = case.get(&uri).await;
            if reply.status() == 200 {
                continue;
            }
            denials += 1;
            assert_eq!(reply.status(), 429);
            let retry_after = number(&reply, "retry-after").unwrap();
            let rate_limit = list(&reply, "ratelimit").unwrap();
            let (_, t) = rate_limit.split_once(";t=").unwrap();
            assert!(t.parse::<u64>().unwrap() <= retry_after, "{rate_limit}");
            now += Duration::from_secs(retry_after);
            case.clock.set(now);
            assert_eq!(case.get(&uri).await.status(), 200, "{limits:?} at {now:?}");
        }
        assert!(denials > 10, "{limits:?}: {denials}");
    }
}

#[tokio::test]
async fn of_several_used_up_limits_the_one_that_lasts_longest_is_reported() {
    let limits = [
        Limit::fixed_window(2, SECOND),
        Limit::fixed_window(2, MINUTE),
    ];
    let layer = ThrottleLayer::all("p", &limits).policies(["second", "minute"]);
    let case = behind(layer);
    let replies = [case.get("/").await, case.get("/").await];
    let reported = replies.map(|reply| list(&reply, "ratelimit").unwrap());
    assert_eq!(reported, ["\"minute\";r=1;t=60", "\"minute\";r=0;t=60"]);
}

#[tokio::test]
async fn the_policies_that_deny_are_the_violated_ones() {
    // Equal capacities, so that the policy does not follow from the limit.
    let limits = [
        Limit::fixed_window(2, SECOND),
        Limit::fixed_window(2, MINUTE),
    ];
    let layer = ThrottleLayer::all("p", &limits).policies(["second", "minute"]);
    let case = behind(layer);
    for _ in 0..2 {
        assert_eq!(case.get("/").await.status(), 200);
    }
    assert_eq!(violated(case.get("/").await).await, ["second", "minute"]);
    case.clock.advance(SECOND);
    let denied = case.get("/").await;
    assert_eq!(list(&denied, "ratelimit").unwrap(), "\"minute\";r=0;t=59");
    assert_eq!(violated(denied).await, ["minute"]);
}

#[tokio::test]
async fn the_refusal_of_a_request_that_would_wait_too_long_names_the_policy() {
    let limits = [
        Limit::fixed_window(5, SECOND),
        Limit::fixed_window(2, MINUTE),
    ];
    let layer = ThrottleLayer::all("p", &limits)
        .policies(["second", "minute"])
        .wait_at_most(2 * SECOND);
    let case = behind(layer);
    for _ in 0..2 {
        assert_eq!(case.get("/").await.status(), 200);
    }
    let denied = case.get("/").await;
    assert_eq!(denied.status(), 429);
    assert_eq!(list(&denied, "ratelimit").unwrap(), "\"minute\";r=0;t=60");
    assert_eq!(number(&denied, "retry-after"), Some(60));
    assert_eq!(violated(denied).await, ["minute"]);
}

#[tokio::test]
async fn layers_inside_one_another_each_report_their_limit() {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock).build();
    let layer = |name, limit| {
        ThrottleLayer::new(name, limit)
            .older_headers(true)
            .with_config(handler.clone())
    };
    let service = service_fn(async |_: Request<()>| Ok(Response::new(Body::empty())));
    let inner = layer("login", Limit::fixed_window(1, MINUTE)).layer(service);
    let service = layer("all", Limit::fixed_window(100, MINUTE)).layer(inner);
    for (status, rate_limit) in [
        (200, "\"login\";r=0;t=60, \"all\";r=99;t=60"),
        (429, "\"login\";r=0;t=60, \"all\";r=98;t=60"),
    ] {
        let reply: Result<_, Infallible> = service.clone().oneshot(Request::new(())).await;
        let reply = reply.unwrap();
        assert_eq!(reply.status(), status);
        let values = reply.headers().get_all("ratelimit").iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values.join(", "), rate_limit);
        // The older headers describe one limit: that of the refusal.
        let older = ["limit", "remaining", "reset"]
            .map(|name| &reply.headers()[format!("x-ratelimit-{name}").as_str()]);
        assert_eq!(older, ["1", "0", "60"]);
    }
}

#[tokio::test]
async fn headers_of_the_service_itself_stay_if_they_are_tighter() {
    for (theirs, expected) in [
        ([1_000, 3, 20], ["1000", "3", "20"]),
        ([1_000, 9, 20], ["5", "4", "60"]),
        ([1_000, 4, 90], ["1000", "4", "90"]),
        ([1_000, 4, 20], ["5", "4", "60"]),
    ] {
        for format in [HeaderFormat::Draft11, HeaderFormat::Draft06] {
            let prefix = match format {
                HeaderFormat::Draft06 => "",
                _ => "x-",
            };
            let names: [HeaderName; 3] = ["limit", "remaining", "reset"]
                .map(|name| format!("{prefix}ratelimit-{name}").parse().unwrap());
            let own: Vec<(HeaderName, u64)> = std::iter::zip(names.clone(), theirs).collect();
            let layer = ThrottleLayer::new("p", Limit::fixed_window(5, MINUTE))
                .header_format(format)
                .older_headers(true);
            let case = around(layer, move |headers| {
                for (name, number) in &own {
                    headers.insert(name, (*number).into());
                }
            });
            let reply = case.get("/").await;
            let shown = names.map(|name| reply.headers()[name].to_str().unwrap().to_owned());
            assert_eq!(shown, expected, "{format:?}");
        }
    }
}

#[tokio::test]
async fn an_item_of_the_service_itself_stays_in_the_list() {
    for (own, expected) in [
        ("\"up\";r=3;t=20", "\"up\";r=3;t=20, \"p\";r=4;t=60"),
        // Not a list of this draft: another item would make it unreadable.
        (
            "limit=9, remaining=3, reset=20",
            "limit=9, remaining=3, reset=20",
        ),
    ] {
        let layer = ThrottleLayer::new("p", Limit::fixed_window(5, MINUTE));
        let case = around(layer, move |headers| {
            headers.insert("ratelimit", own.parse().unwrap());
        });
        assert_eq!(list(&case.get("/").await, "ratelimit").unwrap(), expected);
    }
}

#[tokio::test]
async fn a_retry_after_of_the_service_is_not_before_a_used_up_limit_has_room() {
    for (quota, theirs, expected) in [
        (1, "5", "60"),
        (1, "90", "90"),
        (2, "5", "5"),
        (
            1,
            "Fri, 31 Dec 1999 23:59:59 GMT",
            "Fri, 31 Dec 1999 23:59:59 GMT",
        ),
    ] {
        let layer = ThrottleLayer::new("p", Limit::fixed_window(quota, MINUTE));
        let case = around(layer, move |headers| {
            headers.insert("retry-after", theirs.parse().unwrap());
        });
        assert_eq!(list(&case.get("/").await, "retry-after").unwrap(), expected);
    }
}

#[tokio::test]
async fn older_drafts_are_written_on_request() {
    let limits = [
        Limit::fixed_window(5, SECOND),
        Limit::fixed_window(2, MINUTE),
    ];
    let case = behind(ThrottleLayer::all("p", &limits).header_format(HeaderFormat::Draft07));
    let reply = case.get("/").await;
    assert_eq!(
        list(&reply, "ratelimit").unwrap(),
        "limit=2, remaining=1, reset=60"
    );
    assert_eq!(list(&reply, "ratelimit-policy").unwrap(), "5;w=1, 2;w=60");

    let case = behind(ThrottleLayer::all("p", &limits).header_format(HeaderFormat::Draft06));
    let reply = case.get("/").await;
    assert_eq!(list(&reply, "ratelimit"), None);
    let numbers =
        ["limit", "remaining", "reset"].map(|name| number(&reply, &format!("ratelimit-{name}")));
    assert_eq!(numbers, [2, 1, 60].map(Some));
    assert_eq!(list(&reply, "ratelimit-policy").unwrap(), "5;w=1, 2;w=60");
}

#[tokio::test]
async fn a_partition_key_is_the_hash_of_the_key() {
    let layer = ThrottleLayer::new("p", Limit::fixed_window(1, MINUTE))
        .key(RequestKey::from_fn(|request| {
            Some(request.uri.path().trim_start_matches('/').to_owned())
        }))
        .partition_keys(true);
    let case = behind(layer);
    for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        let reply = case.get("/foobar").await;
        assert_eq!(reply.status(), status);
        // FNV-1a of "foobar" is 85944171f73967e8.
        assert_eq!(
            list(&reply, "ratelimit").unwrap(),
            "\"p\";r=0;t=60;pk=:hZRBcfc5Z+g=:"
        );
    }
    let without =
        behind(ThrottleLayer::new("p", Limit::fixed_window(1, MINUTE)).partition_keys(true));
    assert_eq!(
        list(&without.get("/").await, "ratelimit").unwrap(),
        "\"p\";r=0;t=60"
    );
}

#[tokio::test]
async fn retry_after_can_be_spread() {
    let layer = ThrottleLayer::new("p", Limit::fixed_window(1, MINUTE))
        .retry_after_jitter(Duration::from_secs(100));
    let case = behind(layer);
    assert_eq!(case.get("/").await.status(), 200);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let denied = case.get("/").await;
        seen.insert(number(&denied, "retry-after").unwrap());
        assert_eq!(list(&denied, "ratelimit").unwrap(), "\"p\";r=0;t=60");
    }
    assert!(
        seen.iter().all(|seconds| (60..=160).contains(seconds)),
        "{seen:?}"
    );
    assert!(seen.len() > 10, "{seen:?}");
}
