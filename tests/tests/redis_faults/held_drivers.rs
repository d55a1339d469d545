//! Every call ends within its timeout, whatever holds the thread that drives the connection.

use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use premier::{Handler, Throttle};
use premier_tests::listener::Listener;
use premier_tests::redis::Server;
use premier_tests::waits::{finishes, joined};

use super::traffic::{GRACE, SOON, TIMEOUT, connect, limit};

/// A subscriber that sleeps in the events about one server: that of the armed address.
struct Sleepy;

static ARMED: Mutex<Option<(String, Duration)>> = Mutex::new(None);

impl Sleepy {
    /// Makes the next event about the server at this port take `nap`.
    fn arm(port: u16, nap: Duration) {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        INSTALLED.get_or_init(|| {
            let listener = Listener::to_premier(|_, text| Self::sleep(&text));
            tracing::subscriber::set_global_default(listener).unwrap();
        });
        *ARMED.lock().unwrap() = Some((format!(":{port}"), nap));
    }

    fn sleep(event: &str) {
        let nap = ARMED
            .lock()
            .unwrap()
            .take_if(|(address, _)| event.contains(&*address));
        if let Some((_, nap)) = nap {
            thread::sleep(nap);
        }
    }
}

/// Calls for the time `during`, in a thread and in a task at the same time. Returns the duration of the longest
/// call of each.
fn longest_calls(throttle: &Throttle, during: Duration) -> [Duration; 2] {
    let end = Instant::now() + during;
    let longest = move |mut call: Box<dyn FnMut()>| {
        let mut longest = Duration::ZERO;
        while Instant::now() < end {
            let began = Instant::now();
            call();
            longest = longest.max(began.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        longest
    };
    let (by_thread, by_task) = (throttle.clone(), throttle.clone());
    let blocking = thread::spawn(move || longest(Box::new(move || drop(by_thread.check("k")))));
    let waiting = thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.build().unwrap();
        longest(Box::new(move || {
            drop(runtime.block_on(by_task.check_async("k")));
        }))
    });
    [blocking, waiting].map(|caller| joined("a caller ends", caller).unwrap())
}

#[track_caller]
fn assert_in_time(longest: [Duration; 2]) {
    let [thread, task] = longest;
    assert!(
        thread <= TIMEOUT + GRACE && task <= TIMEOUT + GRACE,
        "the longest call of a thread took {thread:?}, that of a task {task:?}"
    );
}

#[test]
fn a_subscriber_that_sleeps_holds_no_call() {
    let mut server = Server::start();
    let redis = connect(&server);
    let throttle = Throttle::new("held", limit()).with_config(redis);
    throttle.acquire("k").unwrap();
    Sleepy::arm(server.port(), Duration::from_secs(15));
    server.kill();
    assert_in_time(longest_calls(&throttle, 2 * TIMEOUT));
    assert!(ARMED.lock().unwrap().is_none(), "an event was emitted");
    // While the subscriber still sleeps.
    server.restart();
    let back = Instant::now();
    finishes("calls are decided again", move || {
        while throttle.check("k").is_err() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(back.elapsed() < SOON, "{:?}", back.elapsed());
}

#[test]
fn a_stopped_server_holds_no_call() {
    let server = Server::start();
    let redis = connect(&server);
    let throttle = Throttle::new("held", limit()).with_config(redis.clone());
    throttle.acquire("k").unwrap();
    server.signal("STOP");
    assert_in_time(longest_calls(&throttle, 2 * TIMEOUT));
    for operation in [
        Box::new(|| redis.ping().is_err()) as Box<dyn Fn() -> bool>,
        Box::new(|| throttle.peek("k").is_err()),
        Box::new(|| throttle.reset("k").is_err()),
        Box::new(|| throttle.refund("k", 1).is_err()),
        Box::new(|| redis.clear("premier").is_err()),
    ] {
        let began = Instant::now();
        assert!(operation());
        assert!(began.elapsed() <= TIMEOUT + GRACE, "{:?}", began.elapsed());
    }
    server.signal("CONT");
}

/// A process that forks has no threads in its child but the one that forked: nothing drives the connection.
#[test]
fn a_forked_child_waits_no_longer_than_the_timeout() {
    let server = Server::start();
    for caller in ["thread", "task"] {
        let mut parent = Command::new(env!("CARGO_BIN_EXE_forked_child"))
            .args([&server.url(), caller])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = parent.stdout.take().unwrap();
        let millis = finishes("the child has called", move || {
            std::io::read_to_string(output).unwrap()
        });
        assert!(parent.wait().unwrap().success());
        let took = Duration::from_millis(millis.trim().parse().unwrap());
        // Without a timeout the child gives up after 30 s.
        assert!(took < 10 * TIMEOUT, "a {caller} waited {took:?}");
    }
}
