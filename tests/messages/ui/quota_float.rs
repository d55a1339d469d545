use premier::throttle;

#[throttle(quota = 1.5, duration = 5)]
fn f() {}

fn main() {}
