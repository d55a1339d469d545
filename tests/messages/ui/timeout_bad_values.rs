use premier::timeout;

#[timeout(0)]
fn zero() {}

#[timeout]
fn missing() {}

#[timeout("fast")]
async fn fast() {}

#[timeout(1, seconds = 2)]
async fn twice() {}

#[timeout(minutes = 2)]
async fn unknown() {}

fn main() {}
// 5 mistakes
