use premier::concurrency;

#[concurrency]
fn missing() {}

#[concurrency(limit = 0)]
fn zero() {}

#[concurrency(limit = 1.5, wait = "soon")]
fn fraction() {}

#[concurrency(limit = 1, max = 2)]
fn unknown() {}

fn main() {}
// 5 mistakes
