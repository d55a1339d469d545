use premier::throttle;

#[throttle(quota = 3, quota = 4, duration = 5)]
fn f() {}

fn main() {}
