use premier::throttle;

#[throttle(quota = 3, duration = 5, on_reject = |error| error.to_string())]
fn f() -> u32 {
    1
}

fn main() {}
