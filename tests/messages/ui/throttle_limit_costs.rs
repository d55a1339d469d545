use premier::throttle;

#[throttle(limits("3/s", ("9/min", price = 2)))]
fn unknown() {}

#[throttle(limits("3/s", ("9/min", 2)))]
fn without_a_name() {}

#[throttle(limits(("9/min", cost = 2)), cost = 3)]
fn nothing_to_cost() {}

#[throttle(limits("3/s", ("9/parsec", cost = 2)))]
fn bad_rate() {}

fn main() {}
// 4 mistakes
