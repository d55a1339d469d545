use premier::throttle;

#[throttle(quota = 3, duration = 5, key = user, keymaker = |user| *user)]
fn f(user: u32) {
    let _ = user;
}

fn main() {}
