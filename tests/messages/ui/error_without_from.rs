use premier::throttle;

#[throttle(quota = 3, duration = 5)]
fn f() -> Result<u32, String> {
    Ok(1)
}

#[throttle(quota = 3, duration = 5)]
async fn g() -> Result<u32, String> {
    Ok(1)
}

fn main() {}
// 2 mistakes
