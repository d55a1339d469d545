use premier::throttle;

#[throttle(rate = "fast")]
fn f() {}

#[throttle(limits("5/s", "3/fortnight"))]
fn g() {}

#[throttle(limits())]
fn h() {}

fn main() {}
// 3 mistakes
