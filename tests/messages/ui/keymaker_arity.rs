use premier::throttle;

#[throttle(quota = 3, duration = 5, keymaker = |url| url.to_owned())]
fn f(_client: &str, url: &str) {
    let _ = url;
}

struct S;

impl S {
    #[throttle(quota = 3, duration = 5, keymaker = || 1)]
    fn m(&self) {}
}

fn main() {}
// 2 mistakes
