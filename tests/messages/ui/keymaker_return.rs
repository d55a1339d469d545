use premier::throttle;

#[throttle(quota = 3, duration = 5, keymaker = |user| { if *user == 0 { return 1; } *user })]
fn f(user: u32) {
    let _ = user;
}

fn main() {}
