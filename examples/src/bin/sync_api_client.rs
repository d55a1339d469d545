//! A blocking API client that several threads share. It stays within the limit of the API, and a
//! rejected thread retries after the time that the error states.

use std::fmt::{self, Display};
use std::thread;
use std::time::Instant;

use premier::{Error, throttle};

/// The client's error. premier only requires that it implements `From<premier::Error>`.
#[derive(Debug)]
enum ApiError {
    Throttled(Error),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Throttled(error)
    }
}

impl Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Throttled(error) = self;
        write!(formatter, "throttled: {error}")
    }
}

impl std::error::Error for ApiError {}

/// The API allows 4 requests per 400 ms. All threads share this limit.
#[throttle(algo = "token_bucket", rate = "4/400ms")]
fn get(path: &str) -> Result<String, ApiError> {
    Ok(format!("200 OK {path}"))
}

fn get_patiently(path: &str) -> Result<String, ApiError> {
    loop {
        match get(path) {
            Err(ApiError::Throttled(Error::QuotaExceeded { retry_after, .. })) => {
                thread::sleep(retry_after);
            }
            result => return result,
        }
    }
}

fn main() {
    println!("4 threads make 3 requests each; 4 are admitted at once, then one every 100 ms:");
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 1..=4 {
            scope.spawn(move || {
                for request in 1..=3 {
                    let outcome = get_patiently(&format!("/threads/{thread}/{request}"));
                    let answer = outcome.unwrap_or_else(|error| error.to_string());
                    println!("  {:>3} ms  {answer}", start.elapsed().as_millis());
                }
            });
        }
    });
}
