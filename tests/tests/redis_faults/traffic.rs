//! Continuous calls, and the properties that they must keep during any fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use premier::{Config, Error, Limit, RedisHandler, Throttle};
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, joined};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// How long after its timeout a call may end on a busy machine. A call that waited for its timeout twice would take
/// longer.
pub(crate) const GRACE: Duration = Duration::from_millis(900);

/// By when calls are answered again: within a second, and one more on a busy machine. Pauses between attempts to connect
/// that grew with the outage would be longer.
pub(crate) const SOON: Duration = Duration::from_secs(2);

const RATE: u64 = 500;

pub(crate) fn limit() -> Limit {
    Limit::token_bucket(RATE, Duration::from_secs(1)).burst(50)
}

pub(crate) fn connect(server: &Server) -> RedisHandler {
    server.builder().timeout(TIMEOUT).build().unwrap()
}

/// The outcome of one call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    pub(crate) result: Result<bool, Error>,
}

/// Threads and tasks that call continuously.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    pub(crate) outcomes: Arc<Mutex<Vec<Outcome>>>,
    began: Instant,
    callers: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn start(config: impl Into<Config>, keys: u32) -> Self {
        let throttle = Throttle::new("traffic", limit()).with_config(config);
        let stop = Arc::new(AtomicBool::new(false));
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let record = |outcomes: &Mutex<Vec<Outcome>>, began: Instant, result: Result<_, Error>| {
            let took = began.elapsed();
            let result = result.map(|decision: premier::Decision| decision.allowed);
            let outcome = Outcome {
                began,
                took,
                result,
            };
            outcomes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(outcome);
        };
        let callers = (0..4)
            .map(|caller| {
                let (throttle, stop, outcomes) =
                    (throttle.clone(), Arc::clone(&stop), Arc::clone(&outcomes));
                thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .build()
                        .unwrap();
                    let mut key = caller;
                    while !stop.load(Ordering::Relaxed) {
                        key = (key + 1) % keys;
                        let began = Instant::now();
                        let result = if caller % 2 == 0 {
                            throttle.check(&key)
                        } else {
                            runtime.block_on(throttle.check_async(&key))
                        };
                        record(&outcomes, began, result);
                        thread::sleep(Duration::from_micros(300));
                    }
                })
            })
            .collect();
        let traffic = Self {
            stop,
            outcomes,
            began: Instant::now(),
            callers,
        };
        // The fault must hit running traffic.
        traffic.wait_for_answers(Instant::now(), 100);
        traffic
    }

    /// Waits until more than this many calls that began after `since` were answered. Returns when
    /// the first of them began.
    fn wait_for_answers(&self, since: Instant, count: usize) -> Instant {
        let deadline = Instant::now() + LONGEST;
        loop {
            {
                let outcomes = self.outcomes.lock().unwrap();
                let mut answered = outcomes
                    .iter()
                    .filter(|outcome| outcome.began >= since && outcome.result.is_ok());
                if let (Some(first), Some(_)) = (answered.next(), answered.nth(count)) {
                    return first.began;
                }
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {count} answers"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails unless calls are answered soon after `since`.
    pub(crate) fn assert_back_soon(&self, since: Instant) {
        let first = self.wait_for_answers(since, 20);
        let delay = first - since;
        assert!(delay < SOON, "back after {delay:?}");
    }

    /// Stops the traffic and checks what must hold during every fault. `states` is how many times a
    /// key may have started from an empty state.
    pub(crate) fn stop(self, keys: u32, states: u64) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            joined("a caller ends", caller).expect("a caller panicked");
        }
        let elapsed = self.began.elapsed().as_secs_f64();
        let outcomes = std::mem::take(&mut *self.outcomes.lock().unwrap());
        let slowest = outcomes.iter().map(|outcome| outcome.took).max().unwrap();
        assert!(slowest <= TIMEOUT + GRACE, "a call took {slowest:?}");
        let admitted = outcomes
            .iter()
            .filter(|outcome| matches!(outcome.result, Ok(true)))
            .count();
        let most = f64::from(keys) * (50.0 * states as f64 + RATE as f64 * (elapsed + 0.1));
        assert!(
            admitted as f64 <= most,
            "{admitted} of {most:.0} were admitted"
        );
        for outcome in &outcomes {
            if let Err(error) = &outcome.result {
                assert!(matches!(error, Error::Backend { .. }), "{error:?}");
            }
        }
        outcomes
    }
}

pub(crate) fn errors(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .count()
}
