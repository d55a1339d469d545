use premier::timeout;

struct Client;

impl Client {
    #[timeout(60)]
    fn get(&self, url: &str, log: &'static str) -> u32 {
        let _ = (url, log);
        1
    }
}

fn main() {}
