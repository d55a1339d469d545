use premier::retry;

#[retry]
fn number() -> u32 {
    1
}

fn main() {}
