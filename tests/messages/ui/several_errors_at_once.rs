use premier::throttle;

#[throttle(quota = 0, duration = "5 parsecs", algo = "fast", colour = 3)]
#[throttle(quota = 3)]
fn f() {}

fn g() {
    f();
}

fn main() {}
// 5 mistakes
