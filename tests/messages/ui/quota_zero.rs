use premier::throttle;

#[throttle(quota = 0, duration = 5)]
fn f() {}

fn main() {}
