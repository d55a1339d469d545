use premier::throttle;

#[throttle(quota = 3, duration = 0)]
fn f() {}

fn main() {}
