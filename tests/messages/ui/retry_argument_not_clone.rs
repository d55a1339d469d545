use premier::{Error, retry};

struct Token;

#[retry]
fn spend(token: Token) -> Result<(), Error> {
    drop(token);
    Ok(())
}

fn main() {}
