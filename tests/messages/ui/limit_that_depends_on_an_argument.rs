use premier::throttle;

struct Client {
    quota: u64,
}

impl Client {
    #[throttle(quota = self.quota, duration = 1)]
    fn get(&self) {}
}

#[throttle(quota = 1, duration = period)]
fn call(period: u32) {}

fn main() {}
// 2 mistakes
