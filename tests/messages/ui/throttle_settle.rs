use premier::throttle;

#[throttle(rate = "3/s", settle = |a, b| 1)]
fn two_arguments() {}

#[throttle(rate = "3/s", settle = |output| return 1)]
fn leaves() {}

#[throttle(rate = "3/s", max_debt = 5, on_drop = "refund")]
fn never_settled() {}

#[throttle(rate = "3/s", settle = |()| 1, max_debt = -1, on_drop = "forget")]
fn bad_values() {}

fn main() {}
// 6 mistakes
