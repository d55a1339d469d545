use premier::{Error, retry};

enum ApiError {
    Busy,
    Premier(Error),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

#[retry(on = Busyy)]
fn a() -> Result<(), ApiError> {
    Err(ApiError::Busy)
}

#[retry(on = RETRYABLE)]
fn b() -> Result<(), ApiError> {
    Err(ApiError::Busy)
}

fn main() {
    let _ = (a(), b());
}
// 2 mistakes
