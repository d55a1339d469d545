use premier::cache;

#[cache]
fn sum(numbers: Vec<u32>) -> u32 {
    numbers.iter().sum()
}

fn main() {}
