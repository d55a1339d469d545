use premier::throttle;

#[throttle(algo = "tokenbucket", quota = 3, duration = 5)]
fn f() {}

fn main() {}
