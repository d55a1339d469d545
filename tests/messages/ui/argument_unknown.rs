use premier::throttle;

#[throttle(qouta = 3, duration = 5)]
fn f() {}

fn main() {}
// 2 mistakes
