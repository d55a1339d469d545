use premier::cache;

struct Client;

impl Client {
    #[cache]
    fn get(&self) -> u32 {
        1
    }
}

#[cache(key = 1, keymaker = |_| 1)]
fn both(value: u32) -> u32 {
    value
}

fn main() {}
// 2 mistakes
