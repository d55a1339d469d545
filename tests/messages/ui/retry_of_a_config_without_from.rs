use premier::retry;

const MAX: u32 = 3;

#[retry(max = MAX)]
fn number() -> Result<u32, String> {
    Ok(1)
}

fn main() {}
