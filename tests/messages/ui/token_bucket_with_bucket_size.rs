use premier::throttle;

#[throttle(algo = "token_bucket", quota = 3, duration = 5, bucket_size = 10)]
fn f() {}

fn main() {}
