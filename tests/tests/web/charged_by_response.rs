//! `charge_if`: requests that are not charged in the end do not cause the denial of others.
//!
//! Time is tokio's, which moves on as soon as every task waits for it.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{Request, Response, StatusCode};
use premier::tower::{RequestKey, ThrottleBody, ThrottleLayer};
use premier::{Limit, MemoryHandler};
use premier_tests::redis::Server;
use premier_tests::waits::done;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// How long a log-in takes.
const LOG_IN: Duration = Duration::from_millis(300);

type Reply = Response<ThrottleBody<String>>;

/// Two failed log-ins a minute for each address.
fn failed_log_ins() -> ThrottleLayer {
    ThrottleLayer::new("log-in", Limit::sliding_log(2, MINUTE))
        .key(RequestKey::header("x-office"))
        .charge_if(|response| response.status == StatusCode::UNAUTHORIZED)
        .with_config(MemoryHandler::new())
}

/// A service that answers after a while: 401, unless the path is `/good`.
fn behind(
    layer: &ThrottleLayer,
    takes: Duration,
) -> impl Service<Request<()>, Response = Reply, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    layer.layer(service_fn(move |request: Request<()>| async move {
        sleep(takes).await;
        let mut response = Response::new(String::new());
        if request.uri() != "/good" {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        Ok(response)
    }))
}

fn log_in(uri: &str, office: &str) -> Request<()> {
    let request = Request::builder().uri(uri).header("x-office", office);
    request.body(()).unwrap()
}

fn send<S>(service: &S, uri: &str) -> JoinHandle<Reply>
where
    S: Service<Request<()>, Response = Reply, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let asked = service.clone().oneshot(log_in(uri, "office"));
    tokio::spawn(async { asked.await.unwrap() })
}

/// Status and `Retry-After` of each reply.
async fn outcomes(replies: Vec<JoinHandle<Reply>>) -> Vec<(u16, Option<u64>)> {
    let mut outcomes = Vec::new();
    for reply in replies {
        let reply = done("a reply", reply).await;
        let retry_after = reply.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
        outcomes.push((reply.status().as_u16(), retry_after));
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn good_log_ins_at_one_moment_all_go_through() {
    for limit in [
        Limit::sliding_log(2, MINUTE),
        Limit::fixed_window(2, MINUTE),
        Limit::sliding_window(2, MINUTE),
        Limit::token_bucket(2, MINUTE),
    ] {
        let layer = ThrottleLayer::new("log-in", limit)
            .charge_if(|response| response.status == StatusCode::UNAUTHORIZED)
            .with_config(MemoryHandler::new());
        let service = behind(&layer, LOG_IN);
        let began = Instant::now();
        let replies = (0..5).map(|_| send(&service, "/good")).collect();
        assert_eq!(outcomes(replies).await, vec![(200, None); 5], "{limit}");
        // Two at a time.
        assert!(began.elapsed() < 4 * LOG_IN, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_log_ins_at_one_moment_are_denied_over_the_limit() {
    let service = behind(&failed_log_ins(), LOG_IN);
    let began = Instant::now();
    let replies = (0..5).map(|_| send(&service, "/bad")).collect();
    let denied = (429, Some(60));
    let expected = [(401, None), (401, None), denied, denied, denied];
    assert_eq!(outcomes(replies).await, expected);
    // Known as soon as the first two have an answer.
    assert!(began.elapsed() < 2 * LOG_IN);
    assert_eq!(outcomes(vec![send(&service, "/good")]).await, [denied]);
}

#[tokio::test(start_paused = true)]
async fn a_log_in_is_denied_once_others_have_failed() {
    let service = behind(&failed_log_ins(), LOG_IN);
    let mut replies = vec![send(&service, "/bad"), send(&service, "/good")];
    replies.extend([send(&service, "/bad"), send(&service, "/good")]);
    let denied = (429, Some(60));
    let expected = [(401, None), (200, None), (401, None), denied];
    assert_eq!(outcomes(replies).await, expected);
}

#[tokio::test(start_paused = true)]
async fn good_log_ins_one_after_the_other_leave_nothing_behind() {
    let service = behind(&failed_log_ins(), LOG_IN);
    let mut replies = Vec::new();
    for _ in 0..10 {
        replies.push(send(&service, "/good"));
        sleep(LOG_IN / 4).await;
    }
    assert_eq!(outcomes(replies).await, vec![(200, None); 10]);
    let replies = ["/bad", "/bad"].map(|uri| send(&service, uri));
    assert_eq!(outcomes(replies.into()).await, [(401, None); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_log_in_waits_for_others_up_to_a_bound() {
    for (layer, bound) in [
        (failed_log_ins(), 5 * SECOND),
        (failed_log_ins().wait_for_outcomes(2 * SECOND), 2 * SECOND),
        (
            failed_log_ins().wait_for_outcomes(Duration::ZERO),
            Duration::ZERO,
        ),
    ] {
        let service = behind(&layer, 10 * SECOND);
        let slow = vec![send(&service, "/good"), send(&service, "/good")];
        tokio::task::yield_now().await;
        let began = Instant::now();
        // The time of admission is unknown, so `Retry-After` is not 60 seconds.
        let third = outcomes(vec![send(&service, "/good")]).await;
        assert_eq!(third, [(429, Some(1))]);
        let waited = began.elapsed();
        assert!((bound..bound + SECOND / 10).contains(&waited), "{waited:?}");
        assert_eq!(outcomes(slow).await, [(200, None); 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_go_on_when_a_client_goes_away() {
    let service = behind(&failed_log_ins(), LOG_IN);
    for _ in 0..2 {
        let left = service.clone().oneshot(log_in("/good", "office"));
        assert!(timeout(LOG_IN / 3, left).await.is_err());
    }
    // Requests without a response are charged.
    assert_eq!(
        outcomes(vec![send(&service, "/good")]).await,
        [(429, Some(60))]
    );

    let service = behind(&failed_log_ins(), LOG_IN);
    let gone = [send(&service, "/good"), send(&service, "/good")];
    tokio::task::yield_now().await;
    let waiting = vec![send(&service, "/good")];
    sleep(LOG_IN / 3).await;
    gone.iter().for_each(JoinHandle::abort);
    assert_eq!(outcomes(waiting).await, [(429, Some(60))]);
}

#[tokio::test(start_paused = true)]
async fn each_key_waits_for_its_own_requests() {
    let service = behind(&failed_log_ins(), 10 * SECOND);
    let slow = vec![send(&service, "/good"), send(&service, "/good")];
    let began = Instant::now();
    let other = service.clone().oneshot(log_in("/bad", "other"));
    assert_eq!(other.await.unwrap().status(), 401);
    assert!(began.elapsed() < 11 * SECOND);
    assert_eq!(outcomes(slow).await, [(200, None); 2]);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_wait_than_max_waiting() {
    let service = behind(&failed_log_ins().max_waiting(1), SECOND);
    let slow = vec![send(&service, "/good"), send(&service, "/good")];
    tokio::task::yield_now().await;
    let waiting = vec![send(&service, "/good")];
    tokio::task::yield_now().await;
    let began = Instant::now();
    assert_eq!(
        outcomes(vec![send(&service, "/good")]).await,
        [(429, Some(1))]
    );
    assert!(began.elapsed() < SECOND / 10);
    assert_eq!(outcomes(slow).await, [(200, None); 2]);
    assert_eq!(outcomes(waiting).await, [(200, None)]);
}

#[tokio::test]
async fn good_log_ins_go_through_over_redis() {
    let server = Server::start();
    let redis = server.handler();
    let layer = failed_log_ins().with_config(redis);
    let service = behind(&layer, LOG_IN / 3);
    let replies = (0..9).map(|_| send(&service, "/good")).collect();
    assert_eq!(outcomes(replies).await, vec![(200, None); 9]);
    let replies = (0..9).map(|_| send(&service, "/bad")).collect();
    let mut outcomes = outcomes(replies).await;
    outcomes.sort_unstable();
    assert_eq!(outcomes[..2], [(401, None); 2]);
    for (status, retry_after) in &outcomes[2..] {
        assert_eq!(*status, 429);
        assert!((58..=60).contains(&retry_after.unwrap()), "{retry_after:?}");
    }
}
