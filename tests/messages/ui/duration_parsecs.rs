use premier::throttle;

#[throttle(quota = 3, duration = "5 parsecs")]
fn f() {}

fn main() {}
