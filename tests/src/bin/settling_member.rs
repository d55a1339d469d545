//! One process of a fleet whose calls cost less than they reserve. It calls until it is refused, and prints a
//! line when a call has reserved its units and one when it has settled its cost, so that the test knows how far
//! a killed process had come.
//!
//! Arguments: URL, quota an hour, units reserved by a call, units that it costs, and how many calls are settled
//! before one waits to be killed.

use std::io::Write;
use std::thread;
use std::time::Duration;

use premier::{Limit, RedisHandler, Throttle};
use premier_tests::waits::LONGEST;

/// How long a call takes.
const WORK: Duration = Duration::from_millis(5);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, quota, estimate, actual, settles] = arguments.as_slice() else {
        panic!("settling_member URL QUOTA ESTIMATE ACTUAL SETTLES");
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let builder = RedisHandler::builder(url).timeout(LONGEST);
    let handler = builder.build().expect("a usable URL");
    let limit = Limit::fixed_window(number(quota), Duration::from_secs(3_600));
    let throttle = Throttle::new("model", limit)
        .with_config(handler)
        .cost(number(estimate));
    let print = |line| {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{line}").expect("a reader");
    };
    let mut left = number(settles);
    while let Ok(permit) = throttle.acquire("k") {
        print("reserved");
        thread::sleep(if left > 0 { WORK } else { LONGEST });
        left = left.saturating_sub(1);
        permit.settle(number(actual)).expect("a running server");
        print("settled");
    }
}
