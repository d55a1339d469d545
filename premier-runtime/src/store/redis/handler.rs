//! The Redis handler: how calls reach the driver thread and how their answers come back.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::address::Options;
use super::answer::Sender;
use super::denials::Denials;
use super::driver::{Driver, is_driver_thread};
use super::failure::{Failure, backend};
use super::few::Few;
use super::link::{Link, no_answer_within};
use super::outbox::Outbox;
use super::target::Target;
use super::{clear, keys};
use crate::clock::{Clock, after, real_now, real_sleep_until};
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::handler::{Handler, take_all_in_turn, take_all_in_turn_async};
use crate::store::request::{BoxFuture, Request};
use crate::sync::lock_std;

/// Keeps the state of limits in Redis 6.2 or newer, or in Valkey, so that several processes share
/// their limits.
///
/// Defaults: a timeout of 500 ms. The handler connects at its first use. Clones share the connection.
///
/// Every decision is one atomic script call that uses the server's clock. Every key expires by a TTL
/// that is set together with its value. All calls share one connection (in a cluster, one per node).
/// The handler drives the connection on a separate thread, so it can be used from threads without a
/// runtime and from tasks of any executor.
///
/// No call takes longer than the timeout. When the server does not answer, the
/// [`OnBackendError`](crate::OnBackendError) policy decides. While the server is known to be down,
/// the policy decides at once; background probes, at most 250 ms apart, detect when it is back.
///
/// # Keys
/// Each key of a limit is one string, or one list for a sliding log, named
/// `{keyspace}:{function}:{algo}` followed by `:{key}`. The characters `{`, `}` and `%` are escaped
/// as `%7B`, `%7D` and `%25`. A caller's key longer than 128 bytes, or any under
/// [`RedisBuilder::hash_keys`](crate::RedisBuilder::hash_keys), is replaced by `%#` and its SHA-256.
/// The keys of `limits(…)` are in one slot of a cluster.
///
/// The throttles of one function are one script call. In a cluster their keys may be in different slots:
/// then each is asked first, and if all admit the call, its units are taken from one after the other and
/// refunded if another call has come between. Until they are refunded, other calls may be denied.
///
/// `MEMORY USAGE` on Redis 7.0 for a key of 35 bytes: 88 bytes for a token or leaky bucket, 120 for a
/// fixed or sliding window, and 12,496 for a sliding log of 500 units. For comparison, a hash with
/// two fields takes 136 bytes.
///
/// # Failover
/// Redis replicates asynchronously. Units that were taken just before a master failed may be unknown
/// to its replica and may be admitted again. If a connection breaks during a call, the call may or
/// may not have taken its units. The handler never assumes that it has not: in a cluster the call may
/// be sent again and take its units twice, and the units of a caller that is dropped at this moment
/// may stay taken.
///
/// ```no_run
/// use premier::{Config, RedisHandler, throttle};
///
/// #[throttle(algo = "token_bucket", rate = "100/min", key = user)]
/// fn search(user: &str) {}
///
/// let redis = RedisHandler::connect("redis://127.0.0.1/")?;
/// redis.ping()?;
/// premier::config(Config::new(redis).keyspace("shop"))?;
/// search("alice")?;
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisHandler {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) link: Arc<Link>,
    pub(super) outbox: Arc<Outbox>,
    driver: OnceLock<Driver>,
    /// Held while the driver is started.
    starting: Mutex<()>,
    pub(super) options: Options,
}

/// The state of a connection, returned by [`RedisHandler::status`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisStatus {
    /// Whether the server, or every master of a cluster, answered the last call or probe.
    pub up: bool,
    /// The number of outages so far. In a cluster, each master's outage counts.
    pub outages: u64,
}

impl RedisHandler {
    /// Checks that the server can decide, for example when a service starts, by a decision about a key of
    /// the handler, which it removes.
    ///
    /// # Errors
    /// [`Error::Backend`] when the server does not decide within the timeout: it does not answer, is a
    /// replica or out of memory, or its user may not run a command that limits need.
    ///
    /// ```no_run
    /// use premier::RedisHandler;
    ///
    /// RedisHandler::connect("redis://127.0.0.1/")?.ping()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn ping(&self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        self.block(Some(self.timeout()), async move { shared.ping().await })
    }

    /// Checks that the server can decide, without blocking the calling thread. The async form of
    /// [`RedisHandler::ping`].
    ///
    /// # Errors
    /// [`Error::Backend`] when the server does not decide within the timeout.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), premier::Error> {
    /// premier::RedisHandler::connect("redis://127.0.0.1/")?.ping_async().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ping_async(&self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        self.spawn(Some(self.timeout()), async move { shared.ping().await })
            .await
    }

    /// Returns the state of the connection, without calling the server.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::connect("redis://127.0.0.1/")?;
    /// assert_eq!(redis.status().outages, 0);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> RedisStatus {
        let link = &self.shared.link;
        RedisStatus {
            up: link.is_up(),
            outages: link.outages.load(Ordering::Relaxed),
        }
    }

    /// Returns the driver, which the first call starts.
    pub(super) fn driver(&self) -> Result<&Driver, Error> {
        let shared = &*self.shared;
        if let Some(driver) = shared.driver.get() {
            return Ok(driver);
        }
        let _one_at_a_time = lock_std(&shared.starting);
        if let Some(driver) = shared.driver.get() {
            return Ok(driver);
        }
        let started = Driver::start(&shared.link, &shared.outbox)
            .map_err(|error| backend(format!("the driver could not be started: {error}").into()))?;
        Ok(shared.driver.get_or_init(|| started))
    }

    /// Runs `work` on the driver thread and blocks the calling thread until it is done, or for at most
    /// `longest`.
    ///
    /// # Errors
    /// When called on a driver thread, which a `tracing` subscriber of the user may do: the thread
    /// would wait for itself.
    pub(super) fn block<T: Send + 'static>(
        &self,
        longest: Option<Duration>,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Error> {
        refuse_on_driver_thread()?;
        let (answer, answered) = mpsc::sync_channel(1);
        self.start(async move {
            let _ = answer.try_send(work.await);
        })?;
        let answered = match longest {
            Some(longest) => answered.recv_timeout(longest),
            None => answered.recv().map_err(RecvTimeoutError::from),
        };
        match (answered, longest) {
            (Ok(result), _) => result.map_err(backend),
            (Err(RecvTimeoutError::Timeout), Some(longest)) => {
                Err(backend(no_answer_within(longest)))
            }
            (Err(_), _) => Err(backend("the driver has stopped".into())),
        }
    }

    /// Runs `work` on the driver thread and returns its result, if it comes within `longest`.
    pub(super) async fn spawn<T: Send + 'static>(
        &self,
        longest: Option<Duration>,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, mut answered) = oneshot::channel();
        self.start(async move {
            let _ = answer.send(work.await);
        })?;
        let deadline = longest.map_or(u64::MAX, |longest| after(real_now(), longest));
        let mut elapsed = pin!(real_sleep_until(deadline));
        poll_fn(|context| {
            if let Poll::Ready(answer) = Pin::new(&mut answered).poll(context) {
                return Poll::Ready(match answer {
                    Ok(result) => result.map_err(backend),
                    Err(_) => Err(backend("the driver has stopped".into())),
                });
            }
            elapsed.as_mut().poll(context).map(|()| {
                let longest = longest.unwrap_or_default();
                Err(backend(no_answer_within(longest)))
            })
        })
        .await
    }

    /// Runs `work` on the driver thread.
    pub(super) fn start(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        let driver = self.driver()?;
        driver.refuse_in_child()?;
        driver.handle().spawn(work);
        Ok(())
    }

    /// The longest time that a call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.shared.link.timeout
    }
}

/// # Errors
/// On a thread that drives a connection.
pub(super) fn refuse_on_driver_thread() -> Result<(), Error> {
    match is_driver_thread() {
        true => Err(backend(
            "a thread that drives a connection to redis cannot wait for an answer".into(),
        )),
        false => Ok(()),
    }
}

impl Shared {
    async fn ping(&self) -> Result<(), Failure> {
        self.link.ping().await
    }

    /// Whether one script can decide about all requests: in a cluster only if their keys are in one slot.
    fn can_decide_as_one(&self, requests: &[Request<'_>]) -> bool {
        let mut slots = requests.iter().map(|request| {
            let keys = keys::redis_keys(&request.key, request.plans, self.options.hash_keys);
            keys.first().map_or(0, |key| keys::slot(key))
        });
        let first = slots.next();
        !self.link.target.is_cluster() || slots.all(|slot| Some(slot) == first)
    }

    async fn clear(&self, keyspace: &str) -> Result<(), Failure> {
        let cleared = self.clear_server(keyspace).await;
        // After the removal, so that no earlier denial is left.
        self.outbox.denials.clear();
        self.outbox.leases.clear();
        cleared
    }

    async fn clear_server(&self, keyspace: &str) -> Result<(), Failure> {
        let session = self.link.session().await?;
        clear::clear(
            session.connection,
            &self.options,
            keyspace,
            self.link.timeout,
        )
        .await
    }
}

/// The decision about a single request.
fn only(decisions: Few<Decision>) -> Decision {
    decisions.first().copied().unwrap_or_default()
}

impl Handler for RedisHandler {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn is_up(&self) -> Option<bool> {
        Some(self.status().up)
    }

    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.decide(&[*request]).map(only)
    }

    fn handle_async<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Decision, Error>> {
        Box::pin(async move { self.decide_async(&[request]).await.map(only) })
    }

    fn decide_locally(&self, request: &Request<'_>) -> Option<Decision> {
        self.shared.decide_locally(request)
    }

    fn handle_detached(&self, request: &Request<'_>) {
        if let (Ok(_), Ok(check)) = (self.driver(), self.shared.check(&[*request])) {
            Arc::clone(&self.shared.outbox).send(Box::new(check));
        }
    }

    fn take_all(&self, requests: &[Request<'_>]) -> Result<Vec<Decision>, Error> {
        match self.shared.can_decide_as_one(requests) {
            true => self.decide(requests).map(Few::into_vec),
            false => take_all_in_turn(self, requests),
        }
    }

    fn take_all_async<'a>(
        &'a self,
        requests: &'a [Request<'a>],
    ) -> BoxFuture<'a, Result<Vec<Decision>, Error>> {
        match self.shared.can_decide_as_one(requests) {
            true => Box::pin(async { self.decide_async(requests).await.map(Few::into_vec) }),
            false => Box::pin(take_all_in_turn_async(self, requests)),
        }
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        let (shared, keyspace) = (Arc::clone(&self.shared), keyspace.to_owned());
        self.block(None, async move { shared.clear(&keyspace).await })
    }

    fn clear_async<'a>(&'a self, keyspace: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        let (shared, keyspace) = (Arc::clone(&self.shared), keyspace.to_owned());
        Box::pin(self.spawn(None, async move { shared.clear(&keyspace).await }))
    }

    #[cfg(feature = "cache")]
    fn values(&self) -> Option<&dyn crate::store::values::ValueStore> {
        Some(self)
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.shared.outbox.clock.clone()
    }
}

impl fmt::Debug for RedisHandler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisHandler")
            .field("target", &self.shared.link.target)
            .field("timeout", &self.shared.link.timeout)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    /// Refunds leased units, as far as that takes no noticeable time.
    fn drop(&mut self) {
        let is_idle = !self.outbox.leases.are_used() || is_driver_thread();
        if is_idle || !self.link.is_up() {
            return;
        }
        self.outbox.give_back_unused(true);
        for _ in 0..50 {
            if self.outbox.is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

pub(super) fn new(
    options: Options,
    timeout: Duration,
    clock: Option<Arc<dyn Clock>>,
) -> Result<RedisHandler, Error> {
    let target = Target::new(&options, timeout).map_err(|error| {
        // Only the kind, because the message may contain parts of the URL, such as the password.
        Error::config(format!(
            "the address of redis cannot be used: {:?}",
            error.kind()
        ))
    })?;
    let link = Arc::new(Link::new(target, timeout));
    let shared = Shared {
        outbox: Outbox::new(&link, Denials::new(options.deny_locally), clock.clone()),
        link,
        driver: OnceLock::new(),
        starting: Mutex::default(),
        options,
    };
    Ok(RedisHandler {
        shared: Arc::new(shared),
    })
}
