use premier::throttle;

trait T {
    #[throttle(quota = 3, duration = 5)]
    fn f(&self);
}

fn main() {}
