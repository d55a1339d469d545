//! All attributes on one function that calls a local server, which fails, is slow and answers in
//! turn. The output is a timeline of client and server.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use premier::{Error, RetryEvent, cache, circuit_breaker, concurrency, retry, throttle, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

static START: OnceLock<Instant> = OnceLock::new();

fn log(source: &str, message: &str) {
    let elapsed = START.get_or_init(Instant::now).elapsed().as_millis();
    println!("{elapsed:>5} ms  {source:<8}{message}");
}

/// The errors of the call itself and of premier.
#[derive(Clone, Debug)]
enum ApiError {
    Io(String),
    Server(u8),
    Premier(Error),
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "I/O: {error}"),
            Self::Server(status) => write!(formatter, "the server said {status}"),
            Self::Premier(error) => write!(formatter, "{error}"),
        }
    }
}

// A retry searches the sources of an error for the `retry_after` of a throttle or a breaker.
impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Premier(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

fn log_retry(event: &RetryEvent<'_, ApiError>) {
    let RetryEvent {
        attempt,
        delay,
        error,
        ..
    } = event;
    log(
        "retry",
        &format!(
            "attempt {attempt}: {error}; again in {} ms",
            delay.as_millis()
        ),
    );
}

/// From the outside in: a cached value costs nothing; a failure is retried; after several failures
/// calls are rejected for a while; at most 4 calls run at a time; each attempt has a timeout; and each
/// attempt takes quota.
#[cache(ttl = "10s", key = item)]
#[retry(base = "50ms", max = 5, on_retry = log_retry)]
#[circuit_breaker(failures = 3, within = "5s", open_for = "300ms")]
#[concurrency(limit = 4, wait = "1s")]
#[timeout("100ms")]
#[throttle(algo = "token_bucket", rate = "5/200ms")]
async fn fetch(port: u16, item: u8) -> Result<String, ApiError> {
    log("client", &format!("requests item {item}"));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_u8(item).await?;
    match stream.read_u8().await? {
        0 => {
            let mut body = String::new();
            stream.read_to_string(&mut body).await?;
            Ok(body)
        }
        status => Err(ApiError::Server(status)),
    }
}

/// Of every three requests, fails the first, is too slow for the second, and answers the third.
async fn serve(listener: TcpListener) -> io::Result<()> {
    static REQUESTS: AtomicU32 = AtomicU32::new(0);
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let item = stream.read_u8().await?;
            match REQUESTS.fetch_add(1, Ordering::Relaxed) % 3 {
                0 => {
                    log("server", "fails");
                    stream.write_u8(50).await
                }
                1 => {
                    log("server", "is slow");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(())
                }
                _ => {
                    log("server", "answers");
                    stream.write_u8(0).await?;
                    stream.write_all(format!("<item {item}>").as_bytes()).await
                }
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(serve(listener));

    for item in [1, 1, 2, 3] {
        match fetch(port, item).await {
            Ok(body) => log("main", &format!("item {item} is {body}")),
            Err(error) => log("main", &format!("no item {item}: {error}")),
        }
    }

    log("main", "20 tasks request item 4 at once");
    let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(fetch(port, 4))).collect();
    let mut got = 0;
    for task in tasks {
        got += u32::from(task.await?.is_ok());
    }
    log("main", &format!("{got} of 20 tasks got it"));
    Ok(())
}
