use premier::throttle;

#[throttle(quota = 3, duration = 5)]
fn f() -> u32 {
    "text"
}

fn main() {}
