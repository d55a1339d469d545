//! The cost of many waiters, and whether they keep the rate, beside tokio's `Semaphore` and the crates
//! leaky-bucket and governor. Measures all rows, or those whose name contains the argument.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use premier::{Limit, MemoryHandler, Throttle};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

const WAITERS: usize = 80_000;
const CALLERS: [usize; 2] = [10_000, 40_000];
const KEYS: usize = 1_000;
const RATE: u64 = 20_000;
const ROUNDS: usize = 5;

/// Whether the argument selects the row.
fn is_wanted(name: &str) -> bool {
    std::env::args()
        .nth(1)
        .is_none_or(|part| name.contains(&part))
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds in which the tasks begin to wait, and in which they are cancelled: the best of a
/// few rounds. All is done by one thread, so that this is the time it takes on an idle machine.
fn crowd<F>(name: &str, call: impl Fn() -> F) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    if !is_wanted(name) {
        return Ok(());
    }
    let (mut join, mut cancel) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let start = cpu_seconds();
            let tasks: Vec<_> = (0..WAITERS).map(|_| tokio::spawn(call())).collect();
            // Tasks run in the order in which they are spawned: all others wait once this has run.
            tokio::spawn(async {}).await?;
            join = join.min(cpu_seconds() - start);
            let start = cpu_seconds();
            tasks.iter().for_each(|task| task.abort());
            for task in tasks {
                assert!(task.await.is_err(), "a task did not wait");
            }
            cancel = cancel.min(cpu_seconds() - start);
            Ok::<(), tokio::task::JoinError>(())
        })?;
    }
    println!("{name:40} join {join:.3} s, cancel {cancel:.3} s");
    Ok(())
}

/// The time until all callers have been admitted, beside the shortest time that the rate allows, and the CPU
/// time. `call` gets the number of its caller.
fn paced<F>(
    name: &str,
    runtime: &Runtime,
    callers: usize,
    call: impl Fn(usize) -> F,
) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    if !is_wanted(name) {
        return Ok(());
    }
    let (start, cpu) = (Instant::now(), cpu_seconds());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|number| tokio::spawn(call(number)))
            .collect();
        for task in tasks {
            task.await?;
        }
        Ok::<(), tokio::task::JoinError>(())
    })?;
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let ideal = callers as f64 / RATE as f64;
    println!(
        "{name:40} {elapsed:.3} s, {:.3} x the ideal, {cpu:.3} s of CPU",
        elapsed / ideal
    );
    Ok(())
}

/// Calls by hand of a limit that lets one through at a time.
fn by_hand(limit: Limit) -> impl Fn(usize) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    let throttle = Throttle::new("paced", limit)
        .with_config(MemoryHandler::new())
        .wait();
    move |_| {
        let throttle = throttle.clone();
        Box::pin(async move {
            throttle.acquire_async("k").await.expect("admitted");
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{WAITERS} tasks that wait for one key:");
    let second = Duration::from_secs(1);
    let limits = [
        ("token bucket", Limit::token_bucket(1, 3_600 * second)),
        (
            "leaky bucket",
            Limit::leaky_bucket(1, 3_600 * second).bucket_size(1_000_000),
        ),
    ];
    for (name, limit) in limits {
        let throttle = Throttle::new(name, limit)
            .with_config(MemoryHandler::new())
            .wait();
        throttle.acquire("k")?;
        crowd(&format!("premier, {name}"), || {
            let throttle = throttle.clone();
            async move {
                let _ = throttle.acquire_async("k").await;
            }
        })?;
    }
    let semaphore = Arc::new(Semaphore::new(0));
    crowd("tokio's Semaphore", || {
        let semaphore = Arc::clone(&semaphore);
        async move {
            let _ = semaphore.acquire().await;
        }
    })?;

    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    for callers in CALLERS {
        println!("{callers} callers at {RATE} a second:");
        let token_bucket = Limit::token_bucket(RATE, second).burst(1);
        paced(
            "premier, token bucket",
            &runtime,
            callers,
            by_hand(token_bucket),
        )?;
        paced(
            "premier, leaky bucket",
            &runtime,
            callers,
            by_hand(Limit::leaky_bucket(RATE, second)),
        )?;
        paced("premier, #[throttle]", &runtime, callers, |_| async {
            attribute().await.expect("admitted");
        })?;
        // Its interval is a millisecond at least.
        let limiter = leaky_bucket::RateLimiter::builder()
            .max(20)
            .initial(0)
            .refill(20)
            .interval(Duration::from_millis(1))
            .build();
        let limiter = Arc::new(limiter);
        paced("leaky-bucket, 20 a millisecond", &runtime, callers, |_| {
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire_one().await }
        })?;
        let quota = governor::Quota::per_second((RATE as u32).try_into()?);
        let limiter = Arc::new(governor::RateLimiter::direct(
            quota.allow_burst(1.try_into()?),
        ));
        paced("governor", &runtime, callers, |_| {
            let limiter = Arc::clone(&limiter);
            async move { limiter.until_ready().await }
        })?;
    }
    println!(
        "{} callers of {KEYS} keys, each with its share of {RATE} a second:",
        CALLERS[1]
    );
    let share = Limit::token_bucket(RATE / KEYS as u64, second).burst(1);
    let throttle = Throttle::new("keys", share)
        .with_config(MemoryHandler::new())
        .wait();
    paced("premier, token bucket", &runtime, CALLERS[1], |number| {
        let throttle = throttle.clone();
        async move {
            throttle
                .acquire_async(&(number % KEYS))
                .await
                .expect("admitted");
        }
    })?;
    Ok(())
}

#[premier::throttle(quota = 20_000, duration = 1, algo = "token_bucket", burst = 1, wait)]
async fn attribute() -> Result<(), premier::Error> {
    Ok(())
}
