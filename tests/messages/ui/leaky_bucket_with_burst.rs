use premier::throttle;

#[throttle(algo = "leaky_bucket", quota = 3, duration = 5, burst = 10)]
fn f() {}

fn main() {}
