//! The headers of the IETF draft and the problem document.

use std::time::Duration;

use premier::Limit;
use premier::tower::ThrottleLayer;

use super::{MINUTE, behind, client, get_status, header, one_a_minute};

#[tokio::test]
async fn the_headers_and_the_problem_document_follow_the_draft() {
    let layer = ThrottleLayer::new("basic", Limit::fixed_window(2, MINUTE)).older_headers(true);
    let (url, clock) = behind(layer).await;
    let client = client();

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
    // Half a second remains, which is rounded up: `Retry-After` is never 0.
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

    // A client that waits for `Retry-After` is admitted.
    clock.advance(Duration::from_secs(1));
    assert_eq!(get_status(&client, &url).await, 200);
}

/// The example of appendix B.3.1 of the draft: the hour has room, so the header reports the day.
#[tokio::test]
async fn with_several_limits_the_header_reports_the_tightest() {
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
    let client = client();
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

#[tokio::test]
async fn headers_can_be_left_out() {
    let (url, _clock) = behind(ThrottleLayer::new("bare", one_a_minute()).headers(false)).await;
    let client = client();
    for status in [200, 429] {
        let reply = client.get(&url).send().await.unwrap();
        assert_eq!(reply.status(), status);
        assert_eq!(header(&reply, "ratelimit"), None);
        assert_eq!(header(&reply, "ratelimit-policy"), None);
        assert_eq!(header(&reply, "retry-after").is_some(), status == 429);
    }
}

#[tokio::test]
async fn the_headers_show_a_changed_limit() {
    let (url, _clock) = behind(ThrottleLayer::new(
        "changing",
        Limit::fixed_window(2, MINUTE),
    ))
    .await;
    let client = client();
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
