//! `only_some` is for functions that return an `Option`.
use premier::cache;

#[cache(only_some)]
fn number(id: u32) -> u32 {
    id
}

#[cache(only_some)]
fn number_of_result(id: u32) -> Result<u32, String> {
    Ok(id)
}

#[cache(only_some)]
fn option(id: u32) -> Option<u32> {
    Some(id)
}

#[cache(only_some)]
fn option_of_result(id: u32) -> Result<Option<u32>, String> {
    Ok(Some(id))
}

fn main() {
    let _ = (number(1), number_of_result(1), option(1), option_of_result(1));
}
// 2 mistakes
