//! What a check over Redis costs, beside one hand-written `EVALSHA` a check.
//!
//! `cargo bench -p benches --bench redis` starts its own server. Each row is measured just after the
//! baseline, in several rounds, and is printed as the medians of its rounds and the ratio to the baseline.
#![allow(clippy::print_stdout, reason = "the table is what the program is for")]

use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::{Config, Lease, Limit, RedisHandler, Throttle};
use redis::aio::MultiplexedConnection;
use trypema::redis::{RedisKey, RedisRateLimiterProvider};
use trypema::{BucketSize, RateLimit, RateLimiterBuilder, WindowSize};

/// How long a round of a row takes.
const ROUND: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;
const HOUR: Duration = Duration::from_secs(3_600);

/// The shortest script that decides by GCRA: what a user would write.
const SHORTEST: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local tat = tonumber(redis.call('GET', KEYS[1])) or now
if tat < now then tat = now end
local new = tat + ARGV[1]
if new - now > ARGV[2] + 0 then return {0, tat - now} end
redis.call('SET', KEYS[1], string.format('%.0f', new), 'PX', math.ceil((new - now) / 1000) + 1)
return {1, new - now}";

struct Server(Child, u16);

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
        let port = port.expect("a free port").port();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Self(child, port)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The result of one round of a row.
#[derive(Clone, Copy, Default)]
struct Measured {
    per_second: f64,
    server_micros: f64,
    client_micros: f64,
    p99_micros: f64,
}

/// A positional argument: the row to measure, the number of tasks, the number of keys.
fn argument(index: usize) -> Option<String> {
    // Cargo adds `--bench`.
    std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .nth(index)
}

/// The processor time of this process in microseconds.
fn processor_micros() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 * 1e6 + usage.tv_nsec as f64 / 1e3
}

/// The microseconds that the server has spent in scripts.
async fn script_micros(connection: &mut MultiplexedConnection) -> f64 {
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(connection)
        .await
        .expect("the server's statistics");
    script_micros_of(&stats)
}

fn script_micros_of(stats: &str) -> f64 {
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"));
    let micros = line.and_then(|line| line.split_once("usec=")?.1.split_once(',')?.0.parse().ok());
    micros.unwrap_or(0.0)
}

/// Runs `check` in `tasks` tasks, each with the numbers of the keys it asks about.
async fn measure<C, F>(
    connection: &mut MultiplexedConnection,
    tasks: usize,
    keys: u64,
    check: C,
) -> Measured
where
    C: Fn(u64) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let (check, count) = (Arc::new(check), Arc::new(AtomicU64::new(0)));
    let (server, client) = (script_micros(connection).await, processor_micros());
    let start = Instant::now();
    let running: Vec<_> = (0..tasks as u64)
        .map(|task| {
            let (check, count) = (Arc::clone(&check), Arc::clone(&count));
            tokio::spawn(async move {
                let (mut key, mut latencies) = (task * 7_919 % keys, Vec::new());
                let mut last = Instant::now();
                while start.elapsed() < ROUND {
                    check(key).await;
                    key = (key + 1) % keys;
                    count.fetch_add(1, Ordering::Relaxed);
                    let now = Instant::now();
                    latencies.push(now - last);
                    last = now;
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in running {
        latencies.extend(task.await.expect("the task ends"));
    }
    let count = count.load(Ordering::Relaxed) as f64;
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    Measured {
        per_second: count / elapsed,
        client_micros: (processor_micros() - client) / count,
        server_micros: (script_micros(connection).await - server) / count,
        p99_micros: latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e6,
    }
}

fn median(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(name: &str, rounds: &[Measured], baseline: &[Measured]) {
    let ratios: Vec<Measured> = rounds
        .iter()
        .zip(baseline)
        .map(|(row, base)| Measured {
            per_second: row.per_second / base.per_second,
            p99_micros: row.p99_micros / base.p99_micros,
            client_micros: row.client_micros / base.client_micros,
            server_micros: row.server_micros / base.server_micros,
        })
        .collect();
    println!(
        "| {name} | {:.0}k | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        median(rounds, |row| row.per_second) / 1e3,
        median(&ratios, |row| row.per_second),
        median(rounds, |row| row.server_micros),
        median(&ratios, |row| row.server_micros),
        median(rounds, |row| row.client_micros),
        median(&ratios, |row| row.client_micros),
        median(&ratios, |row| row.p99_micros),
    );
}

fn limits() -> Vec<(&'static str, Vec<Limit>)> {
    let quota = 1 << 30;
    let sliding = Limit::sliding_window(quota, HOUR);
    vec![
        ("token bucket", vec![Limit::token_bucket(quota, HOUR)]),
        (
            "leaky bucket, at once",
            vec![Limit::leaky_bucket(900_000_000, Duration::from_secs(1))],
        ),
        ("fixed window", vec![Limit::fixed_window(quota, HOUR)]),
        ("sliding window", vec![sliding]),
        (
            "sliding log",
            vec![Limit::sliding_log(500, Duration::from_micros(5_000))],
        ),
        (
            "two limits",
            vec![
                Limit::token_bucket(quota, HOUR),
                Limit::fixed_window(quota, HOUR),
            ],
        ),
        (
            "token bucket, leased",
            vec![Limit::token_bucket(quota, HOUR).lease(Lease::Percent(10))],
        ),
        ("token bucket, denied", vec![Limit::token_bucket(1, HOUR)]),
    ]
}

async fn rows(url: &str, connection: &mut MultiplexedConnection, tasks: usize, keys: u64) {
    let only = argument(0);
    let hash = redis::Script::new(SHORTEST).get_hash().to_owned();
    let loaded: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg(SHORTEST)
        .query_async(connection)
        .await
        .expect("the script is loaded");
    assert_eq!(loaded, hash);
    println!("\n{tasks} tasks, {keys} keys:\n");
    println!("| who | checks/s | × | server µs | × | client µs | × | p99 × |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let handler = RedisHandler::connect(url).expect("the address");
    let baseline = {
        let (connection, hash) = (connection.clone(), hash);
        move |key: u64| {
            let (mut connection, hash) = (connection.clone(), hash.clone());
            async move {
                let reply: Vec<i64> = redis::cmd("EVALSHA")
                    .arg(hash)
                    .arg(1)
                    .arg(format!("baseline:{key}"))
                    .arg(1)
                    .arg(3_600_000_000_u64)
                    .query_async(&mut connection)
                    .await
                    .expect("a reply");
                assert_eq!(reply[0], 1);
            }
        }
    };
    let is_wanted = |name| only.as_deref().is_none_or(|only| only == name);
    for (name, limits) in limits() {
        if !is_wanted(name) {
            continue;
        }
        let throttle = Throttle::all(name, &limits)
            .with_config(Config::new(handler.clone()).keyspace("bench"));
        let check = move |key: u64| {
            let throttle = throttle.clone();
            async move {
                let decision = throttle.check_async(format!("user-{key}").as_str()).await;
                let _ = decision.expect("a decision");
            }
        };
        check(0).await;
        let (mut of_baseline, mut of_row) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            of_baseline.push(measure(connection, tasks, keys, baseline.clone()).await);
            of_row.push(measure(connection, tasks, keys, check.clone()).await);
        }
        print(name, &of_row, &of_baseline);
    }
    if is_wanted("trypema") {
        let check = trypema(url).await;
        let (mut of_baseline, mut of_row) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            of_baseline.push(measure(connection, tasks, keys, baseline.clone()).await);
            of_row.push(measure(connection, tasks, keys, check.clone()).await);
        }
        print("trypema, absolute", &of_row, &of_baseline);
    }
}

/// A check by trypema's limiter over Redis, whose windows are the smallest that it counts by.
async fn trypema(url: &str) -> impl Fn(u64) -> BoxFuture + Clone + use<> {
    let client = redis::Client::open(url).expect("the address");
    let connection = client.get_connection_manager().await;
    let provider = RedisRateLimiterProvider::builder(connection.expect("a connection"))
        .window_size(WindowSize::minutes_or_panic(1))
        .bucket_size(BucketSize::milliseconds_or_panic(10))
        .build()
        .expect("a provider");
    let provider = Arc::new(provider);
    let rate = RateLimit::per_second_or_panic(1e9);
    move |key| {
        let (provider, rate) = (Arc::clone(&provider), rate);
        Box::pin(async move {
            let key = RedisKey::try_from(format!("user-{key}")).expect("a key");
            let decision = provider.absolute().inc(&key, &rate, 1).await;
            let _ = decision.expect("a decision");
        })
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs what `checker` makes in this many threads.
fn measure_threads<C: FnMut(u64)>(
    connection: &mut redis::Connection,
    threads: u64,
    checker: impl Fn() -> C + Sync,
) -> Measured {
    let script_micros = |connection: &mut redis::Connection| {
        let stats: redis::RedisResult<String> =
            redis::cmd("INFO").arg("commandstats").query(connection);
        script_micros_of(&stats.expect("the server's statistics"))
    };
    let (server, client) = (script_micros(connection), processor_micros());
    let start = Instant::now();
    let mut latencies: Vec<Duration> = thread::scope(|scope| {
        let run = |thread: u64| {
            let checker = &checker;
            move || {
                let (mut check, mut latencies) = (checker(), Vec::new());
                let mut key = thread * 7_919 % 1_000;
                let mut last = Instant::now();
                while start.elapsed() < ROUND {
                    check(key);
                    key = (key + 1) % 1_000;
                    let now = Instant::now();
                    latencies.push(now - last);
                    last = now;
                }
                latencies
            }
        };
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(run(thread)))
            .collect();
        let ended = running.into_iter().map(|thread| thread.join());
        ended
            .flat_map(|latencies| latencies.expect("the thread ends"))
            .collect()
    });
    latencies.sort_unstable();
    let count = latencies.len() as f64;
    Measured {
        per_second: count / start.elapsed().as_secs_f64(),
        client_micros: (processor_micros() - client) / count,
        server_micros: (script_micros(connection) - server) / count,
        p99_micros: latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e6,
    }
}

/// The sync calls, beside a connection for each thread.
fn rows_of_threads(url: &str) {
    println!("\n64 threads, 1000 keys, sync:\n");
    println!("| who | checks/s | × | server µs | × | client µs | × | p99 × |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let client = redis::Client::open(url).expect("the address");
    let mut connection = client.get_connection().expect("a connection");
    let baseline = || {
        let mut connection = client.get_connection().expect("a connection");
        let script = redis::Script::new(SHORTEST);
        move |key: u64| {
            let mut call = script.key(format!("baseline:{key}"));
            let reply = call.arg(1).arg(3_600_000_000_u64);
            let reply: Vec<i64> = reply.invoke(&mut connection).expect("a reply");
            assert_eq!(reply[0], 1);
        }
    };
    let handler = RedisHandler::connect(url).expect("the address");
    for (name, limits) in limits() {
        let throttle = Throttle::all(name, &limits)
            .with_config(Config::new(handler.clone()).keyspace("bench"));
        let check = || {
            |key: u64| {
                let decision = throttle.check(format!("user-{key}").as_str());
                let _ = decision.expect("a decision");
            }
        };
        check()(0);
        let (mut of_baseline, mut of_row) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            of_baseline.push(measure_threads(&mut connection, 64, baseline));
            of_row.push(measure_threads(&mut connection, 64, check));
        }
        print(name, &of_row, &of_baseline);
    }
}

fn main() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = redis::Client::open(server.url()).expect("the address");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("a connection");
        for (tasks, keys) in [(512, 1_000), (512, 1), (64, 1_000), (1, 1)] {
            if argument(1).is_some_and(|only| only != format!("{tasks}/{keys}")) {
                continue;
            }
            rows(&server.url(), &mut connection, tasks, keys).await;
        }
    });
    if argument(0).is_none_or(|only| only == "sync") {
        rows_of_threads(&server.url());
    }
}
