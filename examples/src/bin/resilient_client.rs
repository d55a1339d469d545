//! All attributes on one function, against a server on this machine that is slow, broken and busy
//! in turn. The timeline shows who did what.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use premier::{Error, RetryEvent, cache, circuit_breaker, concurrency, retry, throttle, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

static START: OnceLock<Instant> = OnceLock::new();

fn say(who: &str, what: &str) {
    let elapsed = START.get_or_init(Instant::now).elapsed().as_millis();
    println!("{elapsed:>5} ms  {who:<8}{what}");
}

/// What can go wrong, and what premier says.
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

// So that a retry finds how long the throttle or the breaker says to wait.
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

fn tell(event: &RetryEvent<'_, ApiError>) {
    let RetryEvent {
        attempt,
        delay,
        error,
        ..
    } = event;
    say(
        "retry",
        &format!(
            "attempt {attempt}: {error}; again in {} ms",
            delay.as_millis()
        ),
    );
}

/// From the outside in: what is cached costs nothing; failures are tried again; what keeps failing
/// is left alone; so many at a time; each attempt has an end; and each attempt spends quota.
#[cache(ttl = "10s", key = item)]
#[retry(base = "50ms", max = 5, on_retry = tell)]
#[circuit_breaker(failures = 3, within = "5s", open_for = "300ms")]
#[concurrency(limit = 4, wait = "1s")]
#[timeout("100ms")]
#[throttle(algo = "token_bucket", rate = "5/200ms")]
async fn fetch(port: u16, item: u8) -> Result<String, ApiError> {
    say("client", &format!("asks for item {item}"));
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

/// Answers every third request; of the others one is refused and one is not answered in time.
async fn serve(listener: TcpListener) -> io::Result<()> {
    static REQUESTS: AtomicU32 = AtomicU32::new(0);
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let item = stream.read_u8().await?;
            match REQUESTS.fetch_add(1, Ordering::Relaxed) % 3 {
                0 => {
                    say("server", "is broken");
                    stream.write_u8(50).await
                }
                1 => {
                    say("server", "is slow");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(())
                }
                _ => {
                    say("server", "answers");
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
            Ok(body) => say("main", &format!("item {item} is {body}")),
            Err(error) => say("main", &format!("no item {item}: {error}")),
        }
    }

    say("main", "twenty want item 4 at one time");
    let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(fetch(port, 4))).collect();
    let mut got = 0;
    for task in tasks {
        got += u32::from(task.await?.is_ok());
    }
    say("main", &format!("{got} of twenty have it"));
    Ok(())
}
