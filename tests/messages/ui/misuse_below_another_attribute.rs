use premier::{Error, retry, throttle, timeout};

#[retry(max = 3)]
#[timeout(0)]
#[throttle(quota = 0, duration = 1)]
async fn call() -> Result<(), Error> {
    Ok(())
}

#[throttle(rate = "1/s")]
#[throttle]
fn limited() {}

fn main() {
    let _ = (call(), limited());
}
// 3 mistakes
