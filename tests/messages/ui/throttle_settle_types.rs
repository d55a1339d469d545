use premier::throttle;

#[throttle(rate = "3/s", settle = |output| output.clone())]
fn text() -> String {
    String::new()
}

fn units(output: &u32) -> u64 {
    u64::from(*output)
}

#[throttle(rate = "3/s", settle = units)]
fn other_output() -> u64 {
    1
}

fn main() {}
// 2 mistakes
