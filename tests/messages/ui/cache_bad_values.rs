use premier::cache;

#[cache(ttl = 0)]
fn zero() -> u32 {
    1
}

#[cache(capacity = 0, stale = "0s")]
fn nothing() -> u32 {
    1
}

#[cache(only_some = 3)]
fn some() -> Option<u32> {
    None
}

#[cache(size = 3)]
fn unknown() -> u32 {
    1
}

fn main() {}
// 5 mistakes
