use premier::throttle;

#[throttle(quota = 1_000_000_001, duration = "1s")]
fn f() {}

#[throttle(algo = "sliding_log", quota = 100_001, duration = "1h")]
fn g() {}

fn main() {}
// 2 mistakes
