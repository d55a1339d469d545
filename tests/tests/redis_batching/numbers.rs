//! The lean scripts know small numbers. At their bounds Redis decides as memory does.

use std::time::Duration;

use premier::algorithms::Plan;
use premier::clock::ManualClock;
use premier::{Decision, Handler, Key, Limit, MemoryHandler, Operation, RedisHandler, Request};

use super::server;

/// The largest number of a lean script.
const LEAN: u64 = 1 << 50;

const MICRO: Duration = Duration::from_micros(1);

/// Memory and Redis with one clock.
struct Stores {
    clock: ManualClock,
    memory: MemoryHandler,
    redis: RedisHandler,
}

impl Stores {
    fn new() -> Self {
        let clock = ManualClock::new();
        clock.set(Duration::from_secs(1_800_000_000));
        Self {
            memory: MemoryHandler::builder().clock(clock.clone()).build(),
            redis: server().builder().clock(clock.clone()).build().unwrap(),
            clock,
        }
    }

    /// Compares the decisions of both.
    fn ask(&self, request: &Request<'_>) -> Decision {
        let ours = self.memory.handle(request).unwrap();
        let theirs = self.redis.handle(request).unwrap();
        let same = (ours.allowed, ours.remaining) == (theirs.allowed, theirs.remaining);
        assert!(same, "{request:?}\n{ours:?}\n{theirs:?}");
        for (ours, theirs) in [
            (ours.retry_after, theirs.retry_after),
            (ours.reset_after, theirs.reset_after),
            (ours.delay, theirs.delay),
        ] {
            let differs = ours > theirs || theirs - ours >= MICRO;
            assert!(!differs, "{request:?}\n{ours:?}\n{theirs:?}");
        }
        ours
    }
}

fn key(name: &str) -> (String, &'static str) {
    (format!("numbers:{name}"), "k")
}

#[test]
fn limits_at_the_bounds_of_lean_numbers_decide_as_in_memory() {
    let stores = Stores::new();
    let nanos = Duration::from_nanos;
    let mut limits = Vec::new();
    let year = Duration::from_secs(366 * 86_400);
    for quota in [LEAN - 2, LEAN - 1, LEAN, LEAN + 1] {
        limits.push(Limit::fixed_window(quota, year));
        limits.push(Limit::sliding_window(quota, year));
        limits.push(Limit::token_bucket(quota, year));
        limits.push(Limit::leaky_bucket(quota, year).bucket_size(1_000_003));
    }
    // The full debt, and the denominators of remainders.
    for period in [LEAN - 1, LEAN, LEAN + 1] {
        limits.push(Limit::token_bucket(7, nanos(period)));
        limits.push(Limit::token_bucket(period - 2, nanos(period)));
        limits.push(Limit::leaky_bucket(3, nanos(period)).bucket_size(2));
        limits.push(Limit::fixed_window(3, nanos(period)));
        limits.push(Limit::sliding_window(3, nanos(period)));
    }
    for quota in [LEAN / 1_000 - 1, LEAN / 1_000, LEAN / 1_000 + 1] {
        limits.push(Limit::token_bucket(quota, nanos(LEAN / 999)).burst(1_000_000));
    }
    for (index, limit) in limits.into_iter().enumerate() {
        let plans = [Plan::new(limit).unwrap()];
        let (prefix, subject) = key(&format!("bounds{index}:{}", limit.algo()));
        let request = |operation| Request::new(Key::new(&prefix, Some(subject)), &plans, operation);
        let (capacity, period) = (limit.capacity(), limit.period());
        let costs = [
            capacity / 2,
            1,
            capacity / 3,
            capacity - capacity / 2,
            1,
            capacity,
            2,
            capacity - 1,
            1,
        ];
        let pauses = [0, 1, 3, 1_000, 2, 5, 2, 999, 7];
        for (cost, pause) in costs.into_iter().zip(pauses).cycle().take(27) {
            let _ = stores.ask(&request(Operation::Take(cost.max(1))));
            let _ = stores.ask(&request(Operation::Peek(1)));
            let pause = period.mul_f64(f64::from(pause) / 1_500.0).as_micros();
            stores.clock.advance(Duration::from_micros(pause as u64));
        }
    }
}

/// The inverse of `a` modulo the prime `p`.
fn inverse(a: u64, p: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1_u128, u128::from(a), p - 2);
    let p = u128::from(p);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % p;
        }
        base = base * base % p;
        exponent >>= 1;
    }
    result as u64
}

#[test]
fn a_sliding_window_of_large_quotas_is_exact_where_products_nearly_tie() {
    let stores = Stores::new();
    // A prime of microseconds, about 14 days, so that each remainder of a product can be had.
    let period = 1_200_000_000_053_u64;
    let limit = |quota| Limit::sliding_window(quota, Duration::from_micros(period));
    let mut admitted = [0, 0];
    for (index, count) in [
        LEAN - 1,
        LEAN - 2,
        LEAN - 12_345,
        1_000_000_000_000_007,
        1 << 49,
    ]
    .into_iter()
    .enumerate()
    {
        let quota = LEAN - 1;
        let plans = [Plan::new(limit(quota)).unwrap()];
        for off in [
            1,
            2,
            3,
            1_000,
            period - 1,
            period - 2,
            period - 3,
            period - 1_000,
        ] {
            let (prefix, subject) = key(&format!("ties{index}:{off}"));
            let request =
                |operation| Request::new(Key::new(&prefix, Some(subject)), &plans, operation);
            assert!(stores.ask(&request(Operation::Take(count))).allowed);
            // count · elapsed = k · period + off.
            let elapsed = (u128::from(off) * u128::from(inverse(count % period, period))
                % u128::from(period)) as u64;
            let rolls = u128::from(count) * u128::from(period - elapsed) / u128::from(period);
            stores
                .clock
                .advance(Duration::from_micros(period + elapsed));
            let room = quota - rolls as u64;
            for cost in [room + 2, room + 1, room] {
                if (1..=quota).contains(&cost) {
                    let decision = stores.ask(&request(Operation::Take(cost)));
                    admitted[usize::from(decision.allowed)] += 1;
                    // Only the next decision shows the state that the script has stored.
                    let _ = stores.ask(&request(Operation::Peek(1)));
                }
            }
        }
        // An exact tie in the middle of a window.
        let (prefix, subject) = key(&format!("middle{index}"));
        let plans =
            [Plan::new(Limit::sliding_window(quota, Duration::from_micros(1 << 41))).unwrap()];
        let request = |operation| Request::new(Key::new(&prefix, Some(subject)), &plans, operation);
        assert!(stores.ask(&request(Operation::Take(count / 2 * 2))).allowed);
        stores
            .clock
            .advance(Duration::from_micros((1 << 41) + (1 << 40)));
        for cost in [quota - count / 2 + 1, quota - count / 2] {
            let decision = stores.ask(&request(Operation::Take(cost)));
            admitted[usize::from(decision.allowed)] += 1;
            let _ = stores.ask(&request(Operation::Peek(1)));
        }
    }
    assert!(admitted.iter().all(|count| *count >= 40), "{admitted:?}");
}

/// A state as another limit or an older process has left it: whether a call is admitted is the same by the
/// script that knows everything, which peeks, and by the lean one, which takes.
#[test]
fn states_that_other_limits_have_left_are_read_alike_by_all_scripts() {
    let stores = Stores::new();
    let now = 1_800_000_000_000_000_u64;
    let ms = Duration::from_millis;
    let bucket = Limit::token_bucket(7, ms(10)).burst(20);
    let whole = Limit::token_bucket(10, ms(10)).burst(20);
    let queue = Limit::leaky_bucket(3, ms(10)).bucket_size(5);
    let long = Limit::token_bucket(7, Duration::from_nanos(LEAN + 1)).burst(3);
    let mut tats = vec![
        (now - 1).to_string(),
        now.to_string(),
        format!("{now}:3:7"),
        format!("{}:6:7000", now - 1),
    ];
    for ahead in [
        1,
        999,
        10_000,
        19_999,
        20_000,
        20_001,
        28_571,
        28_572,
        40_000,
        1 << 51,
        (1 << 52) + 3,
    ] {
        let tat = now + ahead;
        tats.push(tat.to_string());
        for den in [1_u64, 3, 7, 1_000, 7_000_000_000_000_000_000] {
            tats.push(format!("{tat}:{}:{den}", den - 1));
        }
        for full in [1, 9_999, 20_000, 50_000] {
            tats.push(format!("{tat}|{}|{full}", now - 5));
            tats.push(format!("{tat}|{}|{full}", now + 5));
            tats.push(format!("{tat}:2:7|{now}|{full}"));
        }
    }
    let fixed = Limit::fixed_window(20, ms(50));
    let sliding = Limit::sliding_window(20, ms(50));
    let (mut windows, mut slides) = (Vec::new(), Vec::new());
    for used in [
        0,
        1,
        19,
        20,
        21,
        1 << 51,
        (1 << 51) + 1,
        1 << 53,
        (1 << 53) + 1,
        u64::MAX >> 1,
    ] {
        for start in [
            now - 50_000,
            now - 49_999,
            now - 1,
            now,
            now + 1,
            now - 100_000,
            now - 99_999,
        ] {
            if used > 0 {
                windows.push(format!("{start}:{used}"));
            }
            for (nanos, other) in [(0, 7), (0, used.max(1)), (1, 3), (999, used.max(1))] {
                slides.push(format!("{start}:{nanos}:{used}:{other}"));
                slides.push(format!("{start}:{nanos}:{other}:{used}"));
            }
        }
    }
    let cases = [
        (bucket, &tats),
        (whole, &tats),
        (queue, &tats),
        (long, &tats),
        (fixed, &windows),
        (sliding, &slides),
    ];
    let mut count = 0;
    for (index, (limit, states)) in cases.into_iter().enumerate() {
        let plans = [Plan::new(limit).unwrap()];
        for (number, state) in states.iter().enumerate() {
            let cost = 1 + number as u64 % limit.capacity().min(5);
            let prefix = format!("numbers:left{index}:{}", limit.algo());
            let subject = format!("{number}");
            let key = Key::new(&prefix, Some(&subject));
            let redis_key = format!("{prefix}:{subject}");
            server().command(&["SET", &redis_key, state, "PX", "600000"]);
            let ask = |operation| stores.redis.handle(&Request::new(key, &plans, operation));
            let before = ask(Operation::Peek(cost)).unwrap();
            let taken = ask(Operation::Take(cost)).unwrap();
            let context = format!("{limit:?} finds {state}\n{before:?}\n{taken:?}");
            assert_eq!(taken.allowed, before.allowed, "{context}");
            assert_eq!(taken.retry_after, before.retry_after, "{context}");
            let expected = before.remaining - if taken.allowed { cost } else { 0 };
            assert_eq!(taken.remaining, expected, "{context}");
            // The stored state is the decided one.
            let after = ask(Operation::Peek(cost)).unwrap();
            assert_eq!(after.remaining, taken.remaining, "{context}\n{after:?}");
            assert_eq!(after.reset_after, taken.reset_after, "{context}\n{after:?}");
            count += 1;
        }
    }
    assert!(count > 1_000, "{count}");
}

#[test]
fn waits_without_limit_leave_a_state_that_all_scripts_read() {
    let stores = Stores::new();
    let limits = [
        Limit::token_bucket(3, Duration::from_nanos(LEAN - 1)).burst(2),
        Limit::leaky_bucket(7, Duration::from_nanos(LEAN - 1)).bucket_size(2),
        Limit::token_bucket(1, Duration::from_micros(LEAN / 1_001)).burst(1),
    ];
    for (index, limit) in limits.into_iter().enumerate() {
        let plans = [Plan::new(limit).unwrap()];
        let (prefix, subject) = key(&format!("waits{index}:{}", limit.algo()));
        let request = |operation| Request::new(Key::new(&prefix, Some(subject)), &plans, operation);
        for longest in [Duration::MAX, Duration::from_secs(1), Duration::MAX] {
            for _ in 0..40 {
                let _ = stores.ask(&request(Operation::Reserve { cost: 1, longest }));
            }
            let _ = stores.ask(&request(Operation::Take(1)));
            stores.clock.advance(Duration::from_secs(86_400));
        }
    }
}
