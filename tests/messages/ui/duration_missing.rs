use premier::throttle;

#[throttle(quota = 3)]
fn f() {}

fn main() {}
