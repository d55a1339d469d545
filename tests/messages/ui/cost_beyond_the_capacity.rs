use premier::throttle;

#[throttle(algo = "token_bucket", quota = 10, duration = 1, burst = 5, cost = 6)]
fn expensive() {}

fn main() {}
