use premier::throttle;

struct User;

#[throttle(quota = 3, duration = 5, key = user)]
fn f(user: User) {
    drop(user);
}

fn main() {}
