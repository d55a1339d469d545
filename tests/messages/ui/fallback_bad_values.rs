use premier::{fallback, throttle};

#[fallback]
fn nothing() -> Result<u32, String> {
    Ok(1)
}

#[fallback(|_| Ok(1), value = 3)]
fn unknown() -> Result<u32, String> {
    Ok(1)
}

#[fallback(|_, _| Ok(1))]
fn arity() -> Result<u32, String> {
    Ok(1)
}

#[fallback(|error| Ok(fails(error)?))]
fn exits() -> Result<u32, String> {
    Ok(1)
}

#[fallback(|_| 0)]
fn cannot_fail() -> u32 {
    1
}

#[fallback(|_| "text")]
fn of_another_type() -> Result<u32, String> {
    Ok(1)
}

#[fallback(|_| "text")]
#[throttle(rate = "1/s")]
fn of_another_plain_type() -> u32 {
    1
}

#[throttle(rate = "1/s")]
#[fallback(|_| 0)]
fn cannot_fail_below() -> u32 {
    1
}

fn fails(error: String) -> Result<u32, String> {
    Err(error)
}

fn main() {
    let _ = (nothing(), unknown(), arity(), exits(), cannot_fail(), of_another_type());
    let _: u32 = of_another_plain_type();
    let _: u32 = cannot_fail_below().unwrap();
}

// 8 mistakes
