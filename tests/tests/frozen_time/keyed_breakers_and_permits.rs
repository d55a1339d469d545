//! A breaker for each host, and permits for each tenant.
#![forbid(unsafe_code)]

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use premier::{Error, circuit_breaker, concurrency};
use premier_tests::scope;
use premier_tests::waits::{eventually, joined};

use super::freeze_time;

#[derive(Debug)]
enum Failure {
    Down,
    Premier(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

/// The key of an open circuit, or of permits that are all taken.
fn refused<T>(result: Result<T, Failure>) -> Option<String> {
    match result {
        Err(Failure::Premier(
            Error::CircuitOpen { key, .. } | Error::ConcurrencyExceeded { key, .. },
        )) => Some(key.unwrap_or_default().into()),
        _ => None,
    }
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn a_host_that_fails_opens_its_own_circuit_only() {
    #[circuit_breaker(failures = 2, open_for = "1h", key = host)]
    fn call(host: &str, is_up: bool) -> Result<(), Failure> {
        let _ = host;
        if is_up { Ok(()) } else { Err(Failure::Down) }
    }
    freeze_time();
    let _ = (call("a", false), call("a", false));
    assert_eq!(refused(call("a", true)).as_deref(), Some("a"));
    for _ in 0..3 {
        call("b", true).unwrap();
    }
    let _ = call("b", false);
    call("b", true).unwrap();
}

#[test]
fn the_error_of_an_open_circuit_says_for_which_key_and_when_to_retry() {
    #[circuit_breaker(failures = 1, open_for = "7s", keymaker = |url: &&str| url.len())]
    fn call(url: &str) -> Result<(), Failure> {
        let _ = url;
        Err(Failure::Down)
    }
    freeze_time();
    let _ = call("four");
    match call("five") {
        Err(Failure::Premier(error)) => {
            let text = error.to_string();
            assert!(
                text.contains("for key \"4\"") && text.contains("retry after"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_half_open_circuit_probes_its_own_host() {
    #[circuit_breaker(failures = 1, open_for = "10s", half_open = 1, key = "{host}:{port}")]
    async fn call(host: &str, port: u16, is_up: bool) -> Result<(), Failure> {
        let _ = (host, port);
        if is_up { Ok(()) } else { Err(Failure::Down) }
    }
    let (scope, clock) = scope();
    let test = async {
        for port in [1, 2] {
            let _ = call("a", port, false).await;
            assert!(refused(call("a", port, true).await).is_some());
        }
        clock.advance(Duration::from_secs(10));
        call("a", 1, true).await.unwrap();
        call("a", 1, true).await.unwrap();
        let _ = call("a", 2, false).await;
        assert_eq!(refused(call("a", 2, true).await).as_deref(), Some("a:2"));
    };
    scope.run_async(test).await;
}

#[test]
fn failures_that_no_longer_count_are_forgotten() {
    #[circuit_breaker(failures = 2, within = "5s", key = host)]
    fn call(host: &str) -> Result<(), Failure> {
        let _ = host;
        Err(Failure::Down)
    }
    let (scope, clock) = scope();
    scope.run(|| {
        let _ = call("a");
        clock.advance(Duration::from_secs(5));
        let _ = call("a");
        assert!(refused(call("a")).is_none(), "one failure counts");
        assert!(refused(call("a")).is_some());
    });
}

#[tokio::test]
async fn each_tenant_has_permits_of_its_own() {
    #[concurrency(limit = 2, key = tenant)]
    async fn serve(tenant: u32) -> Result<(), Failure> {
        let _ = tenant;
        std::future::pending().await
    }
    freeze_time();
    let mut running: Vec<_> = [1, 1, 2].map(|tenant| Box::pin(serve(tenant))).into();
    for call in &mut running {
        assert!(poll_once(call.as_mut()).is_none());
    }
    assert_eq!(refused(serve(1).await).as_deref(), Some("1"));
    let mut second = Box::pin(serve(2));
    assert!(poll_once(second.as_mut()).is_none());
    drop(running.remove(0));
    let mut again = Box::pin(serve(1));
    assert!(poll_once(again.as_mut()).is_none(), "a permit was released");
}

#[tokio::test]
async fn a_call_waits_for_a_permit_of_its_own_key() {
    #[concurrency(limit = 1, wait, keymaker = |tenant: &u32, _: &bool| *tenant)]
    async fn serve(tenant: u32, ends: bool) -> Result<u32, Failure> {
        if !ends {
            std::future::pending::<()>().await;
        }
        Ok(tenant)
    }
    freeze_time();
    let mut first = Box::pin(serve(1, false));
    assert!(poll_once(first.as_mut()).is_none());
    let mut waiting = Box::pin(serve(1, true));
    assert!(poll_once(waiting.as_mut()).is_none());
    assert_eq!(
        poll_once(Box::pin(serve(2, true)).as_mut())
            .unwrap()
            .unwrap(),
        2
    );
    drop(first);
    assert_eq!(poll_once(waiting.as_mut()).unwrap().unwrap(), 1);
}

#[test]
fn a_lock_taken_by_the_key_is_released_before_a_thread_waits() {
    static TENANT: Mutex<u32> = Mutex::new(1);
    static BODY: Mutex<()> = Mutex::new(());

    #[concurrency(limit = 1, wait, key = *TENANT.lock().unwrap())]
    fn serve() -> Result<(), Failure> {
        drop(BODY.lock());
        Ok(())
    }
    freeze_time();
    let body = BODY.lock().unwrap();
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(serve)).collect();
    std::thread::sleep(Duration::from_millis(20));
    eventually("the key is free while one runs and one waits", || {
        TENANT.try_lock().is_ok()
    });
    drop(body);
    for thread in threads {
        joined("a call", thread).unwrap().unwrap();
    }
}

/// A probe of one recovery must not be taken for one of the next.
#[tokio::test]
async fn an_outcome_counts_only_in_the_state_in_which_its_call_began() {
    #[circuit_breaker(failures = 1, open_for = "1s", half_open = 2, key = host)]
    async fn call(host: &str, waits: bool, is_up: bool) -> Result<(), Failure> {
        let _ = host;
        if waits {
            tokio::task::yield_now().await;
        }
        if is_up { Ok(()) } else { Err(Failure::Down) }
    }
    let (scope, clock) = scope();
    let test = async {
        let open = async || {
            let _ = call("a", false, false).await;
            assert!(refused(call("a", false, true).await).is_some());
            clock.advance(Duration::from_secs(1));
        };
        open().await;
        let mut old = Box::pin(call("a", true, true));
        assert!(poll_once(old.as_mut()).is_none());
        open_again(&call("a", false, false).await);
        clock.advance(Duration::from_secs(1));
        for _ in 0..2 {
            call("a", false, true).await.unwrap();
        }
        open().await;
        let mut new = Box::pin(call("a", true, true));
        assert!(poll_once(new.as_mut()).is_none());
        poll_once(old.as_mut()).unwrap().unwrap();
        poll_once(new.as_mut()).unwrap().unwrap();
        call("a", false, true).await.unwrap();
    };
    scope.run_async(test).await;
}

/// A probe that failed has opened the circuit.
fn open_again(probe: &Result<(), Failure>) {
    assert!(matches!(probe, Err(Failure::Down)));
}
