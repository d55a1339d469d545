use premier::throttle;

#[throttle(quota = 3, duration = 5)]
struct S;

fn main() {}
