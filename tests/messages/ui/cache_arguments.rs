//! Without `key`, each argument has to be one that the cache can keep and compare.
use premier::cache;

struct NotHash;

#[cache]
fn by_value(_id: u64, _value: NotHash) -> u32 {
    1
}

#[cache]
fn by_reference(_value: &NotHash) -> u32 {
    1
}

#[cache]
async fn float(_share: f64) -> u32 {
    1
}

#[cache]
fn borrowed(_name: Option<&str>) -> u32 {
    1
}

#[cache]
fn generic<T: std::fmt::Display>(_value: T) -> u32 {
    1
}

fn main() {
    let _ = (by_value(1, NotHash), by_reference(&NotHash), float(0.5), borrowed(None), generic(1));
}
// 5 mistakes
