//! What crowds of waiters cost, beside tokio's `Semaphore` and the crate leaky-bucket.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use premier::{Limit, MemoryHandler, Throttle};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

const WAITERS: usize = 80_000;
const CALLERS: usize = 40_000;
const RATE: u64 = 20_000;
const ROUNDS: usize = 5;

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

/// CPU seconds until all callers have been admitted at the rate.
fn paced<F>(name: &str, runtime: &Runtime, call: impl Fn() -> F) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (start, cpu) = (Instant::now(), cpu_seconds());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(call())).collect();
        for task in tasks {
            task.await?;
        }
        Ok::<(), tokio::task::JoinError>(())
    })?;
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{name:40} {cpu:.3} s of CPU in {elapsed:.2} s");
    Ok(())
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
        let throttle = Throttle::with_handler(MemoryHandler::new(), name, limit).wait();
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

    println!("{CALLERS} callers of a leaky bucket of {RATE} a second:");
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let limit = Limit::leaky_bucket(RATE, second).bucket_size(1_000_000);
    let throttle = Throttle::with_handler(MemoryHandler::new(), "paced", limit);
    paced("premier", &runtime, || {
        let throttle = throttle.clone();
        async move {
            let _ = throttle.acquire_async("k").await;
        }
    })?;
    let limiter = leaky_bucket::RateLimiter::builder()
        .max(20)
        .initial(0)
        .refill(20)
        .interval(Duration::from_millis(1))
        .build();
    let limiter = Arc::new(limiter);
    paced("the crate leaky-bucket", &runtime, || {
        let limiter = Arc::clone(&limiter);
        async move { limiter.acquire_one().await }
    })
}
