//! One of several processes that make random calls over one Redis. Each line of its input has a command and a
//! time in microseconds: `stand` makes a wave of calls while the clock stands at this time, `walk` while it
//! goes on from there. Prints a line for each call, and `.` after each wave.
//!
//! Arguments: URL, seed, how many calls a wave has, the longest local denial in ms.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use premier::clock::{Clock, ManualClock};
use premier::{Handler, Operation, RedisHandler};
use premier_tests::batching::{Call, Case, cases};
use premier_tests::waits::LONGEST;

/// A generator by which a seed makes a run repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

/// Makes a call and describes it.
async fn ask(
    handler: RedisHandler,
    cases: Arc<Vec<Case>>,
    call: Call,
    clock: ManualClock,
) -> String {
    // The handler reads the clock before anything else runs.
    let now = clock.now();
    let requests = call.requests(&cases);
    let decisions = match requests.as_slice() {
        [request] => {
            // As a limit does: the store decides about every peek.
            let known = match request.operation {
                Operation::Peek(_) => None,
                _ => handler.decide_locally(request),
            };
            vec![match known {
                Some(decision) => decision,
                None => handler.handle_async(*request).await.expect("a decision"),
            }]
        }
        requests => handler.take_all_async(requests).await.expect("decisions"),
    };
    call.line(now, &decisions)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, seed, calls, deny_locally] = arguments.as_slice() else {
        panic!("batching_caller URL SEED CALLS DENY_LOCALLY_MS");
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let clock = ManualClock::new();
    let handler = RedisHandler::builder(url)
        .clock(clock.clone())
        .deny_locally(Duration::from_millis(number(deny_locally)))
        .timeout(LONGEST)
        .build()
        .expect("a usable URL");
    let cases = Arc::new(cases());
    let mut random = Random(number(seed) | 1);
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let (command, micros) = line.split_once(' ').expect("a command and a time");
        clock.set(Duration::from_micros(number(micros)));
        let walks = command == "walk";
        let mut waiting = Vec::new();
        for _ in 0..number(calls) {
            let mut call = Call::random(|end| random.below(end));
            // Calls of different times overtake each other. Whether a denied call corrects an instant in the
            // future is the same in every store for a single limit only.
            while walks && !call.takes_from_one_limit() {
                call = Call::random(|end| random.below(end));
            }
            if walks && random.below(8) == 0 {
                clock.advance(Duration::from_micros(random.below(900) as u64));
                tokio::task::yield_now().await;
            }
            let call = ask(handler.clone(), Arc::clone(&cases), call, clock.clone());
            waiting.push(tokio::spawn(call));
        }
        for call in waiting {
            println!("{}", call.await.expect("a call panicked"));
        }
        println!(".");
    }
}
