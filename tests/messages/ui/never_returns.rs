use premier::throttle;

#[throttle(rate = "1/s")]
fn serve() -> ! {
    loop {}
}

fn main() {}
