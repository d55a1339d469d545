use premier::throttle;

#[throttle]
fn f() {}

#[throttle(rate = "3/5s", quota = 3, duration = 5)]
fn g() {}

fn main() {}
// 2 mistakes
