use premier::throttle;

#[throttle(quota = -3, duration = 5)]
fn f() {}

fn main() {}
