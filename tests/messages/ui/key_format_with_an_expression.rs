//! The format string of a key names arguments only.

use premier::{cache, throttle};

struct User {
    id: u32,
}

#[throttle(rate = "1/s", key = "{user.id}")]
fn a_field(user: User) -> u32 {
    user.id
}

#[cache(key = "{path}:{user.id:?}:{}")]
fn a_field_among_others(user: &User, path: &str) -> usize {
    path.len() + user.id as usize
}

#[throttle(rate = "1/s", key = "{path.len()}")]
fn a_call(path: &str) -> usize {
    path.len()
}

fn main() {}
// 3 mistakes
