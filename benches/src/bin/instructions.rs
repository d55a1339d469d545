//! Makes many calls of one kind, for callgrind to count their instructions: `benches/instructions`.

use std::hint::black_box;

use benches::{cached, guarded, keyless, ready, retried};

const CALLS: usize = 1_000;

/// The name by which callgrind knows what to count.
#[inline(never)]
fn counted_calls(call: impl Fn()) {
    for _ in 0..CALLS {
        call();
    }
}

fn count<T>(call: impl Fn() -> T) {
    // The first calls bind the limit and open its window.
    for _ in 0..3 {
        black_box(call());
    }
    counted_calls(|| {
        black_box(call());
    });
}

fn main() {
    let mut arguments = std::env::args();
    match arguments.nth(1).as_deref().unwrap_or_default() {
        "nothing" => count(|| ()),
        "token_bucket_full" => count(|| keyless::full().is_ok()),
        "token_bucket_in_use" => count(|| keyless::in_use().is_ok()),
        "token_bucket_denied" => count(|| keyless::shut().is_ok()),
        "token_bucket_async" => count(|| ready(keyless::full_async()).is_ok()),
        "fixed_window" => count(|| keyless::fixed_window().is_ok()),
        "sliding_window" => count(|| keyless::sliding_window().is_ok()),
        "leaky_bucket" => count(|| keyless::leaky_bucket().is_ok()),
        "by_text" => count(|| keyless::by_text(black_box("user-00000001")).is_ok()),
        "by_number" => count(|| keyless::by_number(black_box(7)).is_ok()),
        "retry" => count(|| retried::sync(black_box(1))),
        "retry_async" => count(|| ready(retried::tasks(black_box(1)))),
        "timeout_async" => count(|| ready(retried::timed(black_box(1))).is_ok()),
        "breaker" => count(|| guarded::by_rate(black_box(1)).is_ok()),
        "breaker_async" => count(|| ready(guarded::tasks(black_box(1))).is_ok()),
        "breaker_by_text" => {
            count(|| guarded::by_key(black_box("user-00000001"), black_box(1)).is_ok());
        }
        "cache_hit_by_number" => count(|| cached::by_number(black_box(7))),
        "cache_hit_by_text" => count(|| cached::by_text(black_box("user-00000001"))),
        other => panic!("nothing is called {other:?}"),
    }
}
