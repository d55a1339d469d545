use premier::{Error, circuit_breaker};

enum ApiError {
    Busy,
    Premier(Error),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

#[circuit_breaker(on = ApiError::Busy | busy)]
fn c() -> Result<(), ApiError> {
    Err(ApiError::Busy)
}

fn main() {
    let _ = c();
}
