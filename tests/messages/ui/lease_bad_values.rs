use premier::throttle;

#[throttle(algo = "leaky_bucket", rate = "10/s", lease = "10%")]
fn spaced() {}

#[throttle(algo = "sliding_log", rate = "10/s", lease = 5)]
fn logged() {}

#[throttle(limits("10/s", "100/min"), lease = "10%")]
fn several() {}

#[throttle(algo = "token_bucket", rate = "10/s", lease = "110%")]
fn too_much() {}

#[throttle(algo = "token_bucket", rate = "10/s", lease = 0)]
fn nothing() {}

#[throttle(algo = "token_bucket", rate = "10/s", lease = 0.1)]
fn a_fraction() {}

fn main() {}
// 6 mistakes
