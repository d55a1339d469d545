//! Attribute macros that make any function well-behaved under load.
//!
//! Put [`#[throttle]`](macro@throttle) on a sync or async function and a limit holds for it: in
//! this process out of the box, or in another store after one line in `main`.
//!
//! ```
//! use premier::{Error, throttle};
//!
//! /// Three calls in five seconds for each URL.
//! #[throttle(algo = "token_bucket", quota = 3, duration = 5, key = url)]
//! fn fetch(url: &str) -> Result<String, Error> {
//!     Ok(format!("the page at {url}"))
//! }
//!
//! for _ in 0..3 {
//!     assert!(fetch("/a").is_ok());
//! }
//! let refused = fetch("/a").unwrap_err();
//! assert!(refused.retry_after().is_some());
//! assert!(fetch("/b").is_ok());
//! ```
//!
//! # What happens to a call that is not admitted
//!
//! | the function returns | the caller gets |
//! | --- | --- |
//! | a type whose name ends in `Result`, or any with `result` | `Err(premier::Error.into())`: its error implements `From<premier::Error>` |
//! | anything else, `T`, or any with `result = false` | `Result<T, premier::Error>`: the attribute changes the signature |
//! | anything, with `on_reject = \|error\| value` | the value; the signature stays |
//!
//! An attribute sees only the name of a type. Every attribute takes the argument `result`, for a `Result` whose
//! name does not end so; `result = false` is for another type whose name ends in `Result`, such as
//! `SearchResult`. One attribute of the function has to have it. Everything else depends on the type itself:
//! `#[cache]` keeps only the `Ok` of a `Result` of any name, and `#[retry]` and `#[circuit_breaker]` look at
//! its error.
//!
//! ```
//! use premier::throttle;
//!
//! #[derive(Debug)]
//! enum AppError {
//!     Throttled(premier::Error),
//! }
//!
//! impl From<premier::Error> for AppError {
//!     fn from(error: premier::Error) -> Self {
//!         Self::Throttled(error)
//!     }
//! }
//!
//! #[throttle(rate = "1/min")]
//! fn fallible() -> Result<u32, AppError> {
//!     Ok(1)
//! }
//!
//! #[throttle(rate = "1/min")]
//! fn infallible() -> u32 {
//!     1
//! }
//!
//! #[throttle(rate = "1/min", on_reject = |_| 0)]
//! fn with_substitute() -> u32 {
//!     1
//! }
//!
//! assert!(matches!((fallible(), fallible()), (Ok(1), Err(AppError::Throttled(_)))));
//! assert!(matches!((infallible(), infallible()), (Ok(1), Err(premier::Error::QuotaExceeded { .. }))));
//! assert_eq!((with_substitute(), with_substitute()), (1, 0));
//! ```
//!
//! # Algorithms
//!
//! With q the quota, d the duration and T = d/q:
//!
//! | [`Algo`] | admits | good for | state |
//! | --- | --- | --- | --- |
//! | `fixed_window` (default) | q in a window that opens at the first call | cheap quotas; up to 2q around an edge | 2 numbers |
//! | `sliding_window` | q in the last d, the last window weighed by its overlap | smooth quotas at constant size | 3 numbers |
//! | `sliding_log` | q in any d, exactly; q ≤ 100,000 | few, expensive calls; log-in forms | one entry a call |
//! | `token_bucket`, `gcra` | bursts up to `burst`, one token more each T | paid APIs | 1 instant |
//! | `leaky_bucket` | one each T, up to `bucket_size` wait in a queue | calling others evenly | 1 instant |
//!
//! All arithmetic is on integers and exact: T is kept as a fraction, a denial says to the nanosecond
//! when the call would be admitted, and no rate drifts. [`SystemClock`](clock::SystemClock) says what
//! happens when the system's clock is wrong.
//!
//! # Arguments of `#[throttle]`
//!
#![doc = include_str!("../docs/throttle.md")]
//!
//! Literals are checked at compile time. Other expressions are evaluated at the first call. If a value is invalid,
//! the call returns [`Error::Config`] and the next call evaluates the expressions again; valid values are kept.
//!
//! Methods of equal names on two types have separate limits, and so have the instances of a generic type
//! (`Client<A>::get`, `Client<B>::get`) and the types that share a default method of a trait. Generic
//! arguments of the function itself do not divide a limit: all `send::<T>` share one. The other attributes
//! follow these rules, except `#[cache]`: no two instances share a cached value. Two functions of one name in
//! different blocks of a function share a limit: give each a `name`.
//!
//! If a function returns a future (`-> impl Future`, a boxed one, or one made by `#[async_trait]`), the call is
//! decided when that future is first polled, and nothing of the body runs before the call is admitted. The future
//! holds the arguments until then, so a `'static` future cannot be returned by a function that borrows an
//! argument: make such a function an `async fn`, or let it own its arguments.
//!
//! Several `#[throttle]`s on a function, with no other attribute of premier between them, make one decision: all
//! admit the call, or nothing is taken, whatever their keys and costs. The call returns the error of the first
//! limit that denies it. Without a `name`, the second has the path of the function with `#2`. In memory and on one Redis node
//! this is exact. In a Redis Cluster the keys may be in different slots: a call that another one overtakes between
//! two slots gives its units back, and a third call may have been denied meanwhile. A call that waits for one of
//! the limits holds the units of the others, and gives them back if it is denied or dropped.
//!
//! ```
//! use premier::throttle;
//!
//! #[throttle(name = "own", rate = "2/h", key = user)]
//! #[throttle(name = "all", rate = "3/h")]
//! fn send(user: &str) {}
//!
//! for user in ["noisy", "noisy", "bob"] {
//!     send(user)?;
//! }
//! // Refused by the limit of all, which takes nothing from alice's own.
//! assert!(send("alice").is_err());
//! # Ok::<(), premier::Error>(())
//! ```
//!
//! # Waiting
//!
//! ```
//! use premier::throttle;
//! use std::time::Instant;
//!
//! #[throttle(algo = "token_bucket", rate = "100/s", burst = 1, wait = "1s")]
//! fn paced() {}
//!
//! let start = Instant::now();
//! for _ in 0..4 {
//!     paced()?;
//! }
//! assert!(start.elapsed().as_millis() >= 30);
//! # Ok::<(), premier::Error>(())
//! ```
//!
//! Callers that wait for one key are admitted in the order of their arrival, threads and tasks together. Borrows
//! and locks of `key`, `keymaker` and `cost` end before the wait begins. A waiter that is dropped takes nothing.
//! A wait that cannot succeed fails at once.
//!
//! With a bucket, the time of admission is known in advance. A waiting call reserves its slot when it arrives, on
//! Redis as well, and sleeps until the slot begins, so the rate is kept even if threads or tasks wake up late.
//! Calls that do not wait ([`Throttle::check`], or another function of the same `name`) are denied meanwhile. When
//! a waiting caller leaves, later callers of its process move up. They also move up when units are given back, and
//! ask again when the limit changes or the key is reset.
//!
//! With a window, it is not known in advance. Callers queue in their process, and the first one asks when there may
//! be room. Calls that do not wait may overtake them, and a waiting future that is not polled blocks the callers
//! behind it.
//!
//! `max_waiting = 1000` bounds how many calls wait at a time; one more fails at once with
//! [`Error::TooManyWaiting`].
//!
//! # `#[retry]`
//!
#![doc = include_str!("../docs/retry.md")]
//!
//! If the last error is a [`premier::Error`](Error) with a `retry_after`,
//! or has one among its sources, the delay is at least that; if that is longer than `max_delay`, there
//! is no further attempt. (`#[error(transparent)]` of thiserror hides the inner error from the sources:
//! give the variant a message instead.) An open circuit is not retried, unless `on` or `when` names
//! `CircuitOpen`. A name in `on` has to be a constant or a variant in scope. Arguments by value
//! are cloned for each attempt, `&` arguments are passed again, and `&mut` arguments are borrowed
//! again. The function may return a borrow from `&self`, but not from a `&mut` argument.
//!
//! [`Config::retry_budget`] bounds the retries of the whole process to a share of its first attempts, so that
//! retries never multiply the load of an outage.
//!
//! # `#[timeout]`
//!
#![doc = include_str!("../docs/timeout.md")]
//!
//! The caller gets [`Error::Timeout`] by [the rules](#what-happens-to-a-call-that-is-not-admitted) for calls
//! that are not admitted. [`timeout_workers`] counts the worker threads of sync calls, including those whose callers
//! have already returned. A panic on a worker thread is resumed in the caller.
//!
//! # `#[cache]`
//!
// Without the feature there is no attribute for the examples to run with.
#![cfg_attr(
    any(feature = "cache", not(doctest)),
    doc = include_str!("../docs/cache.md")
)]
//!
//! Without `key`, a value is returned only for equal arguments. Arguments can be text, integers, `bool`, `char`, and
//! every type that is `Hash + Eq + Clone + Send + Sync + 'static`, or references to these
//! (`premier::bounds::KeyArgument`). For other types, such as floats and types that borrow, give a `key`. A value
//! also has a text, which `premier::cache::invalidate` takes: the `Display` of the arguments, joined by `:`,
//! with `\` before every `:` and `\` within an argument if there are several. If calls with different arguments
//! have one text, only the value of the last one is kept. An argument without `Display` has no text that can be
//! written by hand: clear such a cache as a whole, or give it a `key`.
//!
//! Values have to be `Clone + Send + Sync + 'static`. With a Redis handler, values that implement serde's traits
//! are shared if the arguments read back unchanged, too (text and integers always do): every call asks Redis, so
//! a value that one process invalidates is gone for all processes, and values without a `ttl` live for a day. A
//! value that cannot be read, because Redis is down or another version of the type has written it, is a miss and
//! never an error. Values are stored as JSON. A cache with a value that does not read back as it was written,
//! such as NaN, is no longer shared, and continues in this process alone. `Some(None)` and `Some(())` read back
//! as `None`, and a field with `#[serde(skip)]` as its default. Each process computes a value by itself: single
//! flight does not extend over processes.
//!
//! If a computation fails, the callers that have waited for it get a result that depends on the type of the error:
//!
//! | error | what waiting callers get |
//! | --- | --- |
//! | `Clone + Send + Sync + 'static` | a clone of it, at once |
//! | not `Clone`, but `From<premier::Error>`, as `anyhow::Error`, `io::Error` and `Box<dyn Error>` are | one of them tries once more for all. If that fails too, the others get [`Error::LoadFailed`] with the text of its error |
//! | neither | one of them tries once more for all. If that fails too, each of the others makes its own attempt, all at the same time; put `#[concurrency]` below the cache to bound them |
//!
//! So no caller waits for more than two computations, however many wait. A failure is not kept: only
//! callers that came before it get it. With `only_some`, all waiting callers get the `None`, too.
//!
//! `premier::cache::invalidate` and `clear` win over every value whose computation began before them: the value
//! is returned to the caller that has computed it, but not kept, and later callers do not wait for it. With a
//! Redis handler this holds in every process. A caller that finds no value in Redis leaves a token there, which
//! is removed together with the value; a value is saved only while the token of its computation exists. So a
//! value is not shared if its computation takes longer than an hour, or if Redis was down when it began.
//!
//! Deadlock: a cached function without `wait` must not call itself with the same key, and a task must not wait for
//! a value whose computation it holds without polling it.
//!
//! # `#[circuit_breaker]`
//!
#![doc = include_str!("../docs/circuit_breaker.md")]
//!
//! `on` or `when` select the errors that count; a panic always counts. A call that premier refused (by a quota, a
//! bucket, permits or another circuit) has not reached the function and does not count, unless the pattern `on`
//! matches the error that the refusal was converted into, or `when` names a variant of [`Error`]; a
//! [timeout](Error::Timeout) does count. Circuits of keys are kept while they are open or have calls that
//! count, up to 1,048,576, which take about 450 bytes each; calls of further keys do not count.
//!
//! A few failures do not open the circuit of a frequently called function by a rate, as they do by an absolute
//! number: five failures in ten seconds are 0.06% of 840 calls a second. Use `failures` for functions that are
//! called rarely.
//!
//! A successful call takes no lock; with `key`, it takes one to look up its circuit. With more than 512 calls in
//! `within`, one reading of the clock serves up to 64 successes, which count from that reading.
//!
//! # `#[concurrency]`
//!
#![doc = include_str!("../docs/concurrency.md")]
//!
//! A key takes memory only while calls hold or await its permits.
//!
//! # `#[fallback]`
//!
#![doc = include_str!("../docs/fallback.md")]
//!
//! Where the function cannot return the error of an invalid argument, the call panics.
//!
//! # Several attributes on one function
//!
//! Any order is possible. The first is the outermost.
//!
//! | order | what it means |
//! | --- | --- |
//! | `cache` above all | a hit takes no quota, no permit and no attempt |
//! | `fallback` above others | it handles the error that is left when they have given up |
//! | `retry` above `throttle` | each attempt spends quota, and a denied one waits for `retry_after` |
//! | `throttle` above `retry` | a call spends quota once, however often it is tried |
//! | `retry` above `timeout` | each attempt has its own time |
//! | `timeout` above `retry` | the attempts and the pauses between them share one time |
//! | `retry` above `circuit_breaker` | the breaker counts each attempt, and an open circuit ends the retries |
//! | `circuit_breaker` above `retry` | the breaker counts calls whose last attempt failed |
//! | `circuit_breaker` above `timeout` | a timeout counts as a failure; the other way round, an async one does if the call had run for `slow` |
//! | `timeout` above `throttle` with `wait`, or above `concurrency` | the wait is part of the timeout |
//! | `concurrency` below `retry` | no permit is held during a pause |
//!
//! A value from `on_reject` or `#[fallback]` is a substitute: no attribute above caches, counts or retries it. A
//! substitute never hides an invalid argument: the call returns the [`Error::Config`] or, where the
//! function cannot return one, panics.
//!
//! For a client of a service, from the outside in: `cache`, `retry`, `circuit_breaker`,
//! `concurrency`, `timeout`, `throttle`; that is what the example `resilient_client` does.
//!
//! The attribute that expands first takes the others off the function and expands all of them at once. It knows
//! them as `retry`, `premier::retry`, or by the name that the manifest gives to premier. Attributes of other
//! crates nest the other way round, as they do among themselves: one below premier's attributes encloses all of
//! them, and one above is inside. `#[retry]` above `#[instrument]` makes one span of all attempts,
//! `#[instrument]` above `#[retry]` one of each. An attribute of premier that was imported under another name
//! (`use premier::throttle as limit`), or stands in a `cfg_attr`, is not recognised and ends up outermost. Give
//! such a throttle a `name`: otherwise it shares the state of another throttle without one. An attribute of
//! another crate that has one of these names has to be written with its path.
//!
//! `#[track_caller]` is lost inside the body where it is put into a closure. A type alias of a
//! boxed future is not seen to be one: write `Pin<Box<dyn Future<…>>>` or `BoxFuture`.
//!
//! # Without macros
//!
//! [`Throttle`] is a limit as a value, with peek, refund and reset.
//!
//! # Changing limits without a deploy
//!
//! [`limits::set`] replaces a limit by its name, and the feature [`limits-file`](#limits-file)
//! reads limits from a file whenever it changes. Consumed units stay consumed; a higher rate counts from then on.
//!
//! # Telemetry
//!
//! Feature `metrics`; install the exporter before the first call. The metrics of a limit or an attribute exist, with
//! the value 0, from its first use on; those of `#[retry]` and `#[fallback]` from the first failure on.
//!
//! | name | kind | labels |
//! | --- | --- | --- |
//! | `premier_decisions_total` | counter | `function`, `algo`, `store`, `decision`: `admitted`, `denied`, `shadow_denied`, `error` |
//! | `premier_decision_errors_total` | counter: calls with the decision `error` | `function`, `algo`, `store`, `reason`: `backend`, `cost_exceeds_capacity`, `too_many_keys`, `config` |
//! | `premier_wait_seconds` | histogram | `function` |
//! | `premier_waiting_calls` | gauge: how many calls wait now, for a limit or a permit | `function` |
//! | `premier_keys` | gauge: how many keys the memory of this process keeps | `function`, `algo` |
//! | `premier_key_evictions_total` | counter: keys that were removed because they owed nothing any more | `function`, `algo` |
//! | `premier_permits`, `premier_permits_in_use` | gauge: how many calls of each key `#[concurrency]` lets run, and how many run under all keys | `function` |
//! | `premier_rejected_calls_total` | counter | `function`, `by`: `circuit_breaker`, `concurrency`, `missing_key` |
//! | `premier_retries_total`, `premier_timeouts_total`, `premier_fallbacks_total` | counter | `function` |
//! | `premier_breaker_state` | gauge: 1 for the state that the breaker is in, else 0; not of breakers with keys | `function`, `state`: `closed`, `half_open`, `open` |
//! | `premier_breaker_keys` | gauge: how many keys have a circuit in this state; of breakers with keys | `function`, `state`: `half_open`, `open` |
//! | `premier_breaker_changes_total` | counter | `function`, `to`: `closed`, `half_open`, `open` |
//! | `premier_cache_lookups_total` | counter | `function`, `outcome`: `hit`, `miss` |
//! | `premier_cache_entries` | gauge: how many values the cache keeps in this process | `function` |
//! | `premier_cache_evictions_total` | counter: values that were removed because the cache was full | `function` |
//! | `premier_backend_seconds` | histogram | `store`, `outcome`: `ok`, `error` |
//! | `premier_backend_up` | gauge: 1 while Redis can be reached, else 0 | `store`, `server` |
//! | `premier_outage_decisions_total` | counter | `store`, `policy`: `allow`, `deny`, `memory` |
//! | `premier_limits_file_in_force` | gauge: 1 if the file as it is now is in force, else 0 | |
//! | `premier_limits_file_applied_total` | counter | |
//! | `premier_limits_file_unknown_names` | gauge: entries whose name no limit has had | |
//!
//! `store` is `memory`, `redis`, or the `name` of another [`Handler`]. Keys are never among the labels.
//!
//! The exporter for Prometheus exports a metric with buckets as a histogram, and one without as a summary, which
//! cannot be aggregated over processes. So give it buckets; the Grafana dashboard of the example `web_api` needs
//! them, too:
//!
//! ```rust,ignore
//! PrometheusBuilder::new()
//!     .set_buckets_for_metric(
//!         Matcher::Prefix("premier".into()),
//!         &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
//!     )?
//!     .install()?;
//! ```
//!
//! Feature `tracing`, target `premier`: admissions and cache look-ups at TRACE, denials and waits at DEBUG,
//! retries and fallbacks at INFO, timeouts, breakers and a store that goes down at WARN. A limit that denies
//! calls has one event a second at INFO, with the number of denied `calls`. A call without a decision is a WARN
//! with the `reason` and the `error`; further ones within a second are summed up by one more WARN, with the
//! number of `calls`. Events contain keys, escaped and truncated, only with [`Config::log_keys`].
//!
//! # Other stores
//!
//! A store is a [`Handler`]. A store of your own needs only the public interface:
//!
//! - [`Request::apply`] decides about a call, given the states of its key and the time. [`Request::decode`]
//!   reads the states from bytes, and [`Request::encode`] writes them and says how long to keep them.
//! - A store that decides by a script implements `apply` itself: [`Plan`](algorithms::Plan) has the numbers of a
//!   limit, and [`Reservation`] the units that a caller returns when it gives up.
//! - With the feature `cache`, `Handler::values` shares the values of `#[cache]`.
//!
//! A store of values with compare-and-swap, as most key-value servers have it, reads, decides, and writes
//! unless another has written meanwhile:
//!
//! ```
//! use premier::{Decision, Error, Handler, Limit, Request, Throttle};
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use std::time::{Duration, Instant};
//!
//! /// Stands for the server. Its values have no expiry: it would remove each after the time given.
//! #[derive(Debug)]
//! struct Server {
//!     started: Instant,
//!     values: Mutex<HashMap<String, Vec<u8>>>,
//! }
//!
//! impl Server {
//!     fn get(&self, key: &str) -> (u64, Option<Vec<u8>>) {
//!         let now = self.started.elapsed().as_nanos() as u64;
//!         (now, self.values.lock().unwrap().get(key).cloned())
//!     }
//!
//!     fn swap(&self, key: &str, old: Option<Vec<u8>>, new: Option<(Vec<u8>, Duration)>) -> bool {
//!         let mut values = self.values.lock().unwrap();
//!         if values.get(key) != old.as_ref() {
//!             return false;
//!         }
//!         match new {
//!             Some((value, _expires_in)) => values.insert(key.to_owned(), value),
//!             None => values.remove(key),
//!         };
//!         true
//!     }
//! }
//!
//! impl Handler for Server {
//!     fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
//!         let key = request.key.to_string();
//!         loop {
//!             let (now, old) = self.get(&key);
//!             let mut states = request.decode(old.as_deref())?;
//!             let decision = request.apply(&mut states, now)?;
//!             if self.swap(&key, old, request.encode(&states, now)) {
//!                 return Ok(decision);
//!             }
//!         }
//!     }
//!
//!     fn clear(&self, keyspace: &str) -> Result<(), Error> {
//!         let prefix = format!("{keyspace}:");
//!         self.values.lock().unwrap().retain(|key, _| !key.starts_with(&prefix));
//!         Ok(())
//!     }
//! }
//!
//! let server = Server { started: Instant::now(), values: Mutex::default() };
//! let login = Throttle::new("login", Limit::sliding_log(1, Duration::from_secs(60))).with_config(server);
//! assert!(login.check("alice")?.allowed);
//! assert!(!login.check("alice")?.allowed);
//! # Ok::<(), Error>(())
//! ```
//!
//! A store whose calls block also has the async methods of [`Handler`]. A store that cannot
//! decide returns [`Error::backend`], and [`OnBackendError`] applies.
//!
//! Every store has to make the same decisions about the same calls. The crate `premier-conformance` checks
//! that in the store's tests: `premier_conformance::check(|clock| MyStore::with_clock(clock))`. The example
//! `remote_store` in the repository is a store over a server, with timeouts and async calls, that passes it.
//!
//! # Testing code that is limited
//!
//! All time, sleeping included, comes from the handler's [`clock`]. With a
//! [`ManualClock`](clock::ManualClock), hours pass in a test without waiting:
//!
//! ```
//! use premier::clock::ManualClock;
//! use premier::{Config, MemoryHandler, throttle};
//! use std::thread;
//! use std::time::Duration;
//!
//! #[throttle(rate = "1/h", wait)]
//! fn report() -> &'static str {
//!     "the hourly report"
//! }
//!
//! // Once in each test binary; `premier::clear` gives every test a fresh start.
//! let clock = ManualClock::new();
//! premier::config(MemoryHandler::builder().clock(clock.clone()).build())?;
//!
//! report()?;
//! let second = thread::spawn(report);
//! clock.wait_for_sleepers(1);
//! clock.advance(Duration::from_secs(3600));
//! assert_eq!(second.join().unwrap()?, "the hourly report");
//! # Ok::<(), premier::Error>(())
//! ```
//!
//! With the feature [`tokio`](#tokio) async functions follow the paused time of a test, without another
//! clock. With the feature [`testing`](#testing) each test has a configuration and fresh state of its own.
//!
//! # Features
//!
//! `tokio` is on by default.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `tokio` | tests that [pause tokio's time](#tokio) need no other clock |
//! | `cache` | [`#[cache]`](#cache) |
//! | `redis` | [`RedisHandler`]: limits, and cached values, [shared by a fleet](#redis) |
//! | `tower` | [`ThrottleLayer`]: limits for [HTTP services and clients](#tower) |
//! | `axum` | [`Error`] as a response, peer addresses, matched routes: [in handlers](#axum) |
//! | `dashboard` | [`Dashboard`]: [a live page of every limit](#dashboard), as a router |
//! | `coarse-clock` | [`CoarseClock`]: [costs less, and is up to a tick late](#coarse-clock) |
//! | `limits-file` | [`Config::limits_file`]: [limits in a file](#limits-file), read again when it changes |
//! | `testing` | [`testing`]: [a configuration and fresh state for each test](#testing) |
//! | `serde` | [`Limit`] and [`Algo`] in [configuration files](#serde) |
//! | `metrics` | [numbers](#telemetry), by the crate `metrics` |
//! | `tracing` | [events](#telemetry), by the crate `tracing` |
//!
//! Without features: memory, sync, and async functions under any executor, woken by one timer
//! thread that starts at the first wait.
//!
//! An item behind a feature has a page of its own only in documentation that is built with this
//! feature, as on docs.rs or by `cargo doc --open -p premier --all-features`. In other builds its
//! name links to the section below that describes it.
//!
//! ## tokio
//!
//! In a test with `#[tokio::test(start_paused = true)]`, or after `tokio::time::pause()`, the clocks of
//! the system are those of the runtime: waits and delays of async functions end at once, at the virtual
//! instant that they promise, and limits, cached values and open circuits see `tokio::time::advance`.
//!
//! ```toml
//! [dev-dependencies]
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! ```
//! use premier::{Error, timeout};
//! use std::time::Duration;
//!
//! #[timeout("500ms")]
//! async fn slow() -> Result<(), Error> {
//!     tokio::time::sleep(Duration::from_secs(3600)).await;
//!     Ok(())
//! }
//!
//! # #[cfg(feature = "tokio")]
//! # tokio::runtime::Builder::new_current_thread()
//! #     .enable_time()
//! #     .start_paused(true)
//! #     .build()
//! #     .unwrap()
//! #     .block_on(async {
//! // In a function with #[tokio::test(start_paused = true)]:
//! let before = tokio::time::Instant::now();
//! assert!(matches!(slow().await, Err(Error::Timeout { .. })));
//! assert_eq!(before.elapsed(), Duration::from_millis(500));
//! # });
//! ```
//!
//! - tokio's timer counts milliseconds: a virtual wait ends at the next one.
//! - A thread that is blocked waits in real time: sync functions with `wait` or `#[retry]`, and a sync
//!   `#[timeout]`. The time of the wait counts as passed for the functions that this thread calls.
//! - Threads outside of the runtime, and other runtimes, stay in real time. A limit that both use sees time
//!   that differs. Two tests may differ as well; [`clear`] gives each a fresh start.
//! - Redis keeps its own time, and tokio advances a paused time while an answer is on its way: a timeout
//!   around a call then ends at once.
//! - A clock that a handler was given, such as a [`ManualClock`](clock::ManualClock), keeps its own time.
//! - A runtime without a timer (`enable_time`) stays in real time. tokio cannot be asked whether there is
//!   one, so premier tries, and the message of the panic that it catches is printed.
//!
//! Where time is not paused, nothing changes: sleepers are woken by premier's timer thread, which is more
//! precise than tokio's timer. Without `test-util` in tokio the feature is not in the program at all. With
//! it each reading of the time asks the runtime, so a released program should not be compiled with it.
//!
//! ## testing
//!
//! There is one configuration in a process, so tests of the same functions share their quotas. Within a scope
//! they do not, and run in parallel:
//!
//! ```toml
//! [dev-dependencies]
//! premier = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use premier::clock::ManualClock;
//! use premier::testing::Scope;
//! use premier::{Error, MemoryHandler, assert_throttled, throttle};
//!
//! #[throttle(rate = "1/h")]
//! fn send() -> Result<(), Error> {
//!     Ok(())
//! }
//!
//! let clock = ManualClock::new();
//! let scope = Scope::new(MemoryHandler::builder().clock(clock.clone()).build());
//! scope.run(|| {
//!     assert!(send().is_ok());
//!     assert_throttled!(send());
//! });
//! assert_eq!(scope.decisions("send").denied, 1);
//! # }
//! ```
//!
//! `testing::scope_async` and `Scope::run_async` are for async tests, `Scope::refuse` lets a limit deny all
//! calls. `Scope::fail` and `Scope::slow` let the body of any function with an attribute fail or take long,
//! so that a test sees what its `#[retry]`, `#[circuit_breaker]`, `#[timeout]`, `#[fallback]` and `#[cache]`
//! do then:
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use premier::testing::Scope;
//! use premier::{MemoryHandler, fallback, retry};
//! use std::io;
//!
//! #[fallback(|_error| Ok("a page from yesterday"))]
//! #[retry(max = 3, base = 0)]
//! fn page() -> io::Result<&'static str> {
//!     Ok("the page of today")
//! }
//!
//! let scope = Scope::new(MemoryHandler::new());
//! scope.run(|| {
//!     scope.fail("page", 2, || io::Error::other("down"));
//!     assert_eq!(page().unwrap(), "the page of today"); // by the third attempt
//!     scope.fail("page", 3, || io::Error::other("down"));
//!     assert_eq!(page().unwrap(), "a page from yesterday");
//! });
//! # }
//! ```
//!
//! In a scope every decision takes the slow path, and its memory is never freed: the feature is for tests only.
//!
//! ## redis
//!
//! Keeps the state of limits in Redis 6.2 or newer, or Valkey, so that a limit holds for all
//! processes together. Needs one line in `main`:
//!
//! ```no_run
//! # #[cfg(feature = "redis")] {
//! use premier::{Config, RedisHandler};
//!
//! premier::config(Config::new(RedisHandler::connect("redis://127.0.0.1/")?).keyspace("shop"))?;
//! # }
//! # Ok::<(), premier::Error>(())
//! ```
//!
//! [`RedisHandler`] also has `sentinel`, `cluster` and `builder`, for several nodes, TLS,
//! credentials and a timeout (500 ms by default). [`OnBackendError`] says what happens to calls
//! while Redis cannot be reached, and [`outage_calls`] counts them.
//!
//! ### How often Redis is asked
//!
//! | calls | what they cost Redis |
//! | --- | --- |
//! | a lone call | one script, at once |
//! | calls that come while others are on their way | they leave together, up to 128 by one script; those of one key are one step of it. None waits for others longer than a millisecond |
//! | a call that Redis has just denied, again | nothing for as long as Redis would deny it, at most 100 ms or a tenth of the period. What other processes give back is noticed after that time: `RedisBuilder::deny_locally` |
//! | calls of a limit with a lease, `lease = "10%"` | one script for all units that the process takes ahead. The processes together never admit more than the limit: [`Limit::lease`] |
//! | a call that waits | one script for all of its waiting |
//!
//! Every decision is exact in each case: it is that of the algorithm by the state that Redis had, in the order
//! in which Redis has decided.
//!
//! ### Permissions
//!
//! A user of Redis needs no more than the keys of the keyspace (`premier` by default) and these commands,
//! which are also those of the scripts:
//!
//! ```text
//! ACL SETUSER limits on >secret ~premier:* +evalsha +eval +script|load +time +get +set +del +unlink +pttl +pexpire +lindex +lset +ltrim +rpush +scan
//! ```
//!
//! Besides these, a cluster needs `+cluster|slots +ping +asking`, and a database other than 0 `+select`.
//! `+role` is worth allowing behind sentinels, so that a connection to a former master is noticed at once;
//! the user of a sentinel itself needs `+sentinel|get-master-addr-by-name`. `+client|setname` and
//! `+client|setinfo` let `CLIENT LIST` show who is connected, and `+info` lets premier warn of
//! [eviction](#eviction). `+role`, `+client|…` and `+info` are
//! optional.
//!
//! ### Eviction
//!
//! A limit whose key a full Redis has evicted begins anew. Where `maxmemory` is set, `maxmemory-policy`
//! should therefore be one of two:
//!
//! | policy | what a full Redis costs |
//! | --- | --- |
//! | `noeviction` | no limit is forgotten. Decisions fail until there is memory again, and [`OnBackendError`] decides |
//! | `volatile-ttl` | limits that would expire soonest are forgotten first: those of the shortest periods and of callers that owe least. Decisions go on |
//! | `volatile-lru`, `-lfu`, `-random` | limits in use are forgotten as well, since all keys of premier have a TTL: callers get their quota again and again |
//! | `allkeys-…` | limits in use are forgotten, and values of other programs as well. With too little memory, limits of 2,000 calls in all have admitted 9,840 under `allkeys-lru` |
//!
//! With the feature `tracing`, premier warns of the policies in the last two rows when it has connected and at
//! `RedisHandler::ping`.
//!
//! ## tower
//!
//! [`ThrottleLayer`] limits the requests of a service (axum, tonic, hyper) or of a client.
//! `RequestKey` says which requests share a limit: by the address of the client, a header, the path, or
//! a function of yours.
//!
//! ```
//! # #[cfg(feature = "tower")] {
//! use premier::Limit;
//! use premier::tower::{RequestKey, ThrottleLayer};
//! use std::time::Duration;
//!
//! // A hundred requests a minute for each address.
//! let api = ThrottleLayer::new("api", Limit::token_bucket(100, Duration::from_secs(60)))
//!     .key(RequestKey::x_forwarded_for(1));
//! # let _ = api;
//! # }
//! ```
//!
//! A denied request is answered with 429, `Retry-After`, the `RateLimit` fields of the IETF draft
//! and a problem of RFC 9457; a gRPC call gets `RESOURCE_EXHAUSTED`. No cache may store it. A client that keeps
//! to these fields is never denied; `header_format` and `older_headers` choose what older clients read. `charge_if`
//! charges only requests whose response matches, `shadow` denies nothing and only counts, `wait_at_most`
//! waits. A limit that cannot be used panics in `ThrottleLayer::new` and is an error of `try_new`.
//!
//! ### The address of the client
//!
//! | server | key |
//! | --- | --- |
//! | axum, without a proxy | `RequestKey::peer_ip()`, and `into_make_service_with_connect_info::<SocketAddr>()` |
//! | tonic, a Unix socket, `ConnectInfo` of a type of yours | `peer_ip().peer_from(…)` says where the address is |
//! | behind n proxies that append to `X-Forwarded-For` or `Forwarded` | `x_forwarded_for(n)`, `forwarded(n)` |
//! | behind proxies with known addresses | `x_forwarded_for` or `forwarded` with `TrustedProxies::networks(["10.0.0.0/8"])` |
//! | behind a proxy that overwrites `X-Real-IP`, `CF-Connecting-IP`, `True-Client-IP`, `Fly-Client-IP` | `ip_header("CF-Connecting-IP", proxies)` |
//!
//! A number of proxies must be exact, and no request may reach the service around them: a client could
//! write the header itself. With networks, a header is believed only if its sender is in them.
//!
//! An IPv6 client is its /64 network, or what `ipv6_prefix` says. Addresses that contain an IPv4 address
//! (NAT64, 6to4, Teredo, IPv4-mapped and IPv4-compatible ones) count as the IPv4 address.
//!
//! ### Requests without a key
//!
//! A request that lacks what the key needs is refused: with 400 if the client did not send a header, and
//! with 500 and one warning that names the remedy (feature `tracing`) if the server does not supply the
//! address of the peer. `ThrottleLayer::missing_key` lets such requests share a limit or pass instead.
//!
//! ### Keys that clients choose
//!
//! A client that may send any API key or user name has a new limit with each of them, and every value takes
//! memory. Use a header as the key behind the authentication that checks it, or limit by address first and
//! then by key:
//!
//! ```
//! # #[cfg(feature = "tower")] {
//! use premier::Limit;
//! use premier::tower::{RequestKey, ThrottleLayer};
//! use std::time::Duration;
//!
//! let minute = Duration::from_secs(60);
//! let by_address = ThrottleLayer::new("by address", Limit::token_bucket(600, minute))
//!     .key(RequestKey::peer_ip());
//! let by_key = ThrottleLayer::new("by API key", Limit::token_bucket(100, minute))
//!     .key(RequestKey::header("x-api-key"));
//! // In axum the last layer is the outermost: router.layer(by_key).layer(by_address)
//! # let _ = (by_address, by_key);
//! # }
//! ```
//!
//! ## axum
//!
//! [`Error`] implements `IntoResponse`, so that a handler can carry `#[throttle]` and return it:
//! 429 for a denied call, with the `RateLimit` fields of the layer, 503 while the store is down or a
//! breaker is open, 504 after a timeout. With `premier::tower::RateLimitHeadersLayer` on the router, the responses
//! to admitted calls have the `RateLimit` fields, too.
//! `premier::axum::PeerIp` is an extractor that serves as a key; without the address of the peer it answers
//! with 500, and `Option<PeerIp>` is `None`. `RequestKey::matched_route` is the route of a request.
//! Includes `tower`.
//!
//! ## dashboard
//!
//! [`Dashboard`] is a page for the operators of a service: which limits deny calls now, since when, and of which
//! keys, whether the store can be reached and what happens to calls while it cannot, what each limit has admitted and
//! denied in the last ten minutes, and breakers, permits, retries, caches and the limits file. It is a router to
//! nest: `Router::new().nest_service("/premier", Dashboard::new().router())`. It has no authentication: mount it
//! behind yours. Includes `axum`.
//!
//! ## coarse-clock
//!
//! [`CoarseClock`] reads the time of the system's last tick, which makes a decision in memory
//! cheaper and late by up to a tick (1 to 10 ms); it is never early.
//!
//! ```
//! # #[cfg(feature = "coarse-clock")] {
//! use premier::MemoryHandler;
//! use premier::clock::CoarseClock;
//!
//! premier::config(MemoryHandler::builder().clock(CoarseClock).build())?;
//! # }
//! # Ok::<(), premier::Error>(())
//! ```
//!
//! ## limits-file
//!
//! [`Config::limits_file`] reads limits from a TOML file and follows its changes:
//!
//! ```toml
//! [limits."shop::search:search"]  # the name in errors: module, colon, function
//! rate = "100/s"                  # as in #[throttle]; or quota = 100, duration = 1
//! burst = 200
//!
//! [limits.login]
//! rates = ["5/min", "20/h"]       # for limits("…", "…")
//! lease = "10%"                   # over Redis; without it the lease in the code applies
//! ```
//!
//! Rename a finished file over the old one, as Kubernetes does. A file that is written in place is applied once it
//! has not changed for 300 ms. A file that is empty or has a mistake changes nothing. Events (feature `tracing`),
//! [`limits::file_status`](limits), metrics (feature `metrics`) and the dashboard show whether the file is in
//! force, its last change, and the names in it that no limit has.
//!
//! ## serde
//!
//! [`Limit`] and [`Algo`] implement `Serialize` and `Deserialize` as the text that their `FromStr` reads,
//! so that they can be part of a program's own configuration:
//!
//! ```
//! # #[cfg(feature = "serde")] {
//! use premier::Limit;
//! use std::time::Duration;
//!
//! let search: Limit = serde_json::from_str(r#""token_bucket 100/min, burst 20""#).unwrap();
//! assert_eq!(search, Limit::token_bucket(100, Duration::from_secs(60)).burst(20));
//! # }
//! ```
//!
// Where a feature is off, the name of what it adds leads to its section.
#![cfg_attr(feature = "redis", doc = "[`RedisHandler`]: RedisHandler")]
#![cfg_attr(not(feature = "redis"), doc = "[`RedisHandler`]: #redis")]
#![cfg_attr(feature = "tower", doc = "[`ThrottleLayer`]: tower::ThrottleLayer")]
#![cfg_attr(not(feature = "tower"), doc = "[`ThrottleLayer`]: #tower")]
#![cfg_attr(feature = "dashboard", doc = "[`Dashboard`]: dashboard::Dashboard")]
#![cfg_attr(not(feature = "dashboard"), doc = "[`Dashboard`]: #dashboard")]
#![cfg_attr(feature = "testing", doc = "[`testing`]: testing")]
#![cfg_attr(not(feature = "testing"), doc = "[`testing`]: #testing")]
#![cfg_attr(feature = "coarse-clock", doc = "[`CoarseClock`]: clock::CoarseClock")]
#![cfg_attr(not(feature = "coarse-clock"), doc = "[`CoarseClock`]: #coarse-clock")]
#![cfg_attr(
    feature = "limits-file",
    doc = "[`Config::limits_file`]: Config::limits_file"
)]
#![cfg_attr(
    not(feature = "limits-file"),
    doc = "[`Config::limits_file`]: #limits-file"
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(inline)]
pub use premier_macros::{circuit_breaker, concurrency, fallback, retry, throttle, timeout};
#[cfg(feature = "axum")]
#[doc(inline)]
pub use premier_runtime::axum;
#[cfg(feature = "dashboard")]
#[doc(inline)]
pub use premier_runtime::dashboard;
#[cfg(feature = "tower")]
#[doc(inline)]
pub use premier_runtime::tower;
#[doc(inline)]
pub use premier_runtime::{
    Algo, BackendSource, BoxFuture, Config, Decision, Error, Handler, Key, Lease, Limit,
    MemoryHandler, MemoryHandlerBuilder, OnBackendError, OnDrop, Operation, OutageCalls, Permit,
    Request, Reservation, RetryBudget, RetryEvent, Throttle, algorithms, bounds, clear,
    clear_async, clock, config, limits, outage_calls, timeout_workers,
};
#[cfg(feature = "redis")]
#[doc(inline)]
pub use premier_runtime::{RedisBuilder, RedisHandler, RedisStatus};
#[cfg(feature = "testing")]
#[doc(inline)]
pub use premier_runtime::{assert_throttled, testing};
#[cfg(feature = "cache")]
#[doc(inline)]
pub use {premier_macros::cache, premier_runtime::cache};

/// What expansions call. Not part of the public interface: it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use premier_runtime::__private::*;
}
