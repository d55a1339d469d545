use premier::throttle;

#[throttle(quota = 3, duration = "5")]
fn f() {}

#[throttle(quota = 3, duration = -5)]
fn g() {}

#[throttle(quota = 3, duration = "400d")]
fn h() {}

fn main() {}
// 3 mistakes
