//! A process that uses a Redis handler and forks. Its child calls by the same handler, and prints how many
//! milliseconds the call took, decided or not.
//!
//! Arguments: URL, and whether a `thread` or a `task` calls.

use std::io::Write;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use fork::Fork;
use premier::{Limit, RedisHandler, Throttle};
use premier_tests::waits::{LONGEST, eventually};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, caller] = arguments.as_slice() else {
        panic!("forked_child URL thread|task");
    };
    let limit = Limit::token_bucket(1_000, Duration::from_secs(1));
    let redis = RedisHandler::connect(url).expect("a usable URL");
    let throttle = Throttle::new("forked", limit).with_config(redis);
    eventually("the parent's call is decided", || {
        throttle.acquire("k").is_ok()
    });

    match fork::fork().expect("a child") {
        Fork::Parent(child) => {
            fork::waitpid(child).expect("the child ends");
        }
        Fork::Child => {
            let began = Instant::now();
            thread::spawn(move || {
                // After this time the call counts as blocked for ever.
                thread::sleep(LONGEST);
                report(began);
            });
            if caller == "task" {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                let runtime = builder.enable_time().build().expect("a runtime");
                let _ = runtime.block_on(throttle.check_async("k"));
            } else {
                let _ = throttle.check("k");
            }
            report(began);
        }
    }
}

/// Ends without the destructors, which may wait for threads that the child does not have.
fn report(began: Instant) -> ! {
    let mut output = std::io::stdout();
    let _ = writeln!(output, "{}", began.elapsed().as_millis());
    let _ = output.flush();
    process::exit(0)
}
