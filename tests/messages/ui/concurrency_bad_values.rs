use premier::concurrency;

#[concurrency]
fn missing() {}

#[concurrency(limit = 0)]
fn zero() {}

#[concurrency(limit = 1.5, wait = "soon")]
fn fraction() {}

#[concurrency(limit = 1, max = 2)]
fn unknown() {}

#[concurrency(limit = 1, max_waiting = 3)]
fn nobody_waits() {}

#[concurrency(limit = 1, wait, max_waiting = 0)]
fn none() {}

fn main() {}
// 7 mistakes
