use premier::{Error, retry, throttle, timeout};

#[retry(max = 3)]
#[timeout(0)]
#[throttle(quota = 0, duration = 1)]
async fn call() -> Result<(), Error> {
    Ok(())
}

fn main() {
    let _ = call();
}
// 2 mistakes
