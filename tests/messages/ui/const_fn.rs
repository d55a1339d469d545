use premier::throttle;

#[throttle(quota = 3, duration = 5)]
const fn f() {}

#[throttle(quota = 3, duration = 5)]
extern "C" fn g() {}

fn main() {}
// 2 mistakes
