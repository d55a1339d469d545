use premier::cache;

#[cache]
fn numbers() -> impl Iterator<Item = u32> + Clone {
    0..3
}

fn main() {}
