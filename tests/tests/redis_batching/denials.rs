//! A key that Redis has denied is denied without asking again, for a while.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Algo, Decision, Handler, Limit, RedisHandler, Throttle};
use premier_tests::proxy::DelayingProxy;
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, done, within};

use super::monitor::Monitor;
use super::{SECOND, server};

const HOUR: Duration = Duration::from_secs(3_600);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A process: a handler that has no denials yet.
fn process(clock: &ManualClock, longest: Option<Duration>) -> RedisHandler {
    let builder = server().builder().clock(clock.clone());
    match longest {
        Some(longest) => builder.deny_locally(longest),
        None => builder,
    }
    .build()
    .unwrap()
}

/// A throttle of a process that repeats denials for as long as possible.
fn believing(name: &str, limit: Limit) -> (ManualClock, Throttle) {
    let clock = ManualClock::new();
    let redis = process(&clock, Some(HOUR));
    (clock, Throttle::new(name, limit).with_config(redis))
}

/// How many calls of a limit reach Redis.
fn asked(name: &str, calls: impl FnOnce()) -> usize {
    let monitor = Monitor::start(server());
    calls();
    let scripts = monitor.stop(server());
    let is_about = |key: &String| key.split(':').any(|part| part.trim_matches('{') == name);
    scripts
        .iter()
        .filter(|script| script.keys.iter().any(is_about))
        .count()
}

fn allows(throttle: &Throttle) -> bool {
    throttle.check("k").unwrap().allowed
}

/// Uses the limit up until a denial is known here.
fn exhaust(throttle: &Throttle) {
    for _ in 0..1_000 {
        if !allows(throttle) {
            return;
        }
    }
    panic!("nothing is denied");
}

#[test]
fn under_a_flood_redis_is_asked_once_in_a_tenth_of_a_second() {
    let clock = ManualClock::new();
    let limit = Limit::fixed_window(1, 10 * SECOND);
    let flood = Throttle::new("flood", limit).with_config(process(&clock, None));
    let scripts = asked("flood", || {
        for _ in 0..1_000 {
            (0..5).for_each(|_| assert!(flood.check("k").is_ok()));
            clock.advance(ms(1));
        }
    });
    // One is admitted.
    assert!((10..=12).contains(&scripts), "{scripts} calls in a second");
}

#[test]
fn under_a_flood_redis_is_asked_once_in_a_tenth_of_a_short_period() {
    let clock = ManualClock::new();
    let limit = Limit::fixed_window(1, ms(200));
    let flood = Throttle::new("short", limit).with_config(process(&clock, None));
    let scripts = asked("short", || {
        for _ in 0..200 {
            (0..5).for_each(|_| assert!(flood.check("k").is_ok()));
            clock.advance(ms(1));
        }
    });
    assert!((10..=12).contains(&scripts), "{scripts} calls in 200 ms");
}

#[test]
fn a_flood_asks_redis_when_a_unit_is_back() {
    let clock = ManualClock::new();
    let limit = Limit::token_bucket(20, SECOND).burst(1);
    let flood = Throttle::new("units", limit).with_config(process(&clock, None));
    let mut admitted = 0;
    let scripts = asked("units", || {
        for _ in 0..1_000 {
            admitted += (0..5).filter(|_| allows(&flood)).count();
            clock.advance(ms(1));
        }
    });
    assert_eq!(
        admitted, 20,
        "each unit is used in the millisecond it is back"
    );
    assert!(scripts <= 2 * 20, "{scripts} calls for 20 units");
}

#[test]
fn a_local_denial_equals_that_of_redis_until_it_ends() {
    let all = [
        vec![Limit::fixed_window(5, SECOND)],
        vec![Limit::sliding_window(5, SECOND)],
        vec![Limit::sliding_log(5, SECOND)],
        vec![Limit::token_bucket(3, SECOND).burst(5)],
        vec![Limit::leaky_bucket(3, SECOND).bucket_size(4)],
        vec![
            Limit::token_bucket(7, SECOND).burst(5),
            Limit::fixed_window(6, SECOND),
        ],
    ];
    for (index, limits) in all.iter().enumerate() {
        let clock = ManualClock::new();
        let name = format!("same{index}");
        let throttle =
            |longest| Throttle::all(&name, limits).with_config(process(&clock, Some(longest)));
        let (here, there) = (throttle(HOUR), throttle(Duration::ZERO));
        let shown = |decision: Decision| {
            let Decision {
                allowed,
                limit,
                remaining,
                ..
            } = decision;
            (
                allowed,
                limit,
                remaining,
                decision.retry_after,
                decision.reset_after,
            )
        };
        exhaust(&here);
        for step in 0.. {
            // Redis is asked first: its answer is by the state before an admission here.
            let expected = shown(there.peek("k").unwrap());
            if there.peek("k").unwrap().allowed {
                assert!(step > 5, "{limits:?}");
                break;
            }
            let local = asked(&name, || {
                assert_eq!(shown(here.check("k").unwrap()), expected, "{limits:?}");
            });
            assert_eq!(local, 0, "{limits:?} step {step}");
            clock.advance(Duration::from_micros(17_003));
        }
        assert!(allows(&here), "{limits:?}");
    }
}

#[test]
fn in_real_time_a_local_denial_is_never_longer_than_that_of_redis() {
    let process = |longest| {
        let builder = server().builder().deny_locally(longest);
        builder.build().unwrap()
    };
    let limit = Limit::token_bucket(1, 600 * SECOND);
    let throttle = |longest| Throttle::new("real", limit).with_config(process(longest));
    let (here, there) = (throttle(HOUR), throttle(Duration::ZERO));
    exhaust(&here);
    for _ in 0..200 {
        let before = there.check("k").unwrap();
        let local = here.check("k").unwrap();
        assert!(
            local.retry_after <= before.retry_after,
            "{local:?} {before:?}"
        );
        assert!(
            local.reset_after <= before.reset_after,
            "{local:?} {before:?}"
        );
        // A busy machine may pause between the two.
        assert!(before.retry_after - local.retry_after < 60 * SECOND);
    }
}

#[test]
fn a_reset_here_ends_a_denial() {
    let (_, throttle) = believing("reset", Limit::fixed_window(3, HOUR));
    exhaust(&throttle);
    assert_eq!(asked("reset", || assert!(!allows(&throttle))), 0);
    throttle.reset("k").unwrap();
    assert!(allows(&throttle));
}

#[test]
fn a_refund_here_ends_a_denial() {
    let (_, throttle) = believing("refund", Limit::token_bucket(3, HOUR));
    exhaust(&throttle);
    throttle.refund("k", 1).unwrap();
    assert!(allows(&throttle));
    assert!(!allows(&throttle));
}

#[test]
fn a_refund_of_another_cost_ends_a_denial() {
    let (_, throttle) = believing("refunds", Limit::sliding_log(3, HOUR));
    exhaust(&throttle);
    assert!(!throttle.cost(2).check("k").unwrap().allowed);
    throttle.refund("k", 2).unwrap();
    assert!(throttle.cost(2).check("k").unwrap().allowed);
}

#[test]
fn a_dropped_call_that_gives_its_unit_back_ends_a_denial() {
    let (_, throttle) = believing("dropped", Limit::fixed_window(1, HOUR));
    // Of calls that find the server without the script, a later one may be decided first.
    assert!(throttle.check("another").unwrap().allowed);
    let mut call = Box::pin(throttle.check_async("k"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    assert!(!allows(&throttle), "the call on its way has the unit");
    drop(call);
    assert!(allows(&throttle));
}

#[test]
fn a_changed_limit_ends_a_denial() {
    let more = |limit: &Limit| match limit.algo() {
        Algo::TokenBucket => limit.burst(4),
        algo => Limit::new(algo, 4, HOUR),
    };
    for (name, limits) in [
        ("changed-window", vec![Limit::fixed_window(3, HOUR)]),
        ("changed-log", vec![Limit::sliding_log(3, HOUR)]),
        ("changed-bucket", vec![Limit::token_bucket(3, HOUR)]),
        (
            "changed-group",
            vec![Limit::fixed_window(3, HOUR), Limit::token_bucket(3, HOUR)],
        ),
    ] {
        let redis = process(&ManualClock::new(), Some(HOUR));
        let throttle = Throttle::all(name, &limits).with_config(redis);
        exhaust(&throttle);
        let limits: Vec<_> = limits.iter().map(more).collect();
        assert_eq!(premier::limits::set_all(name, &limits).unwrap(), 1);
        assert!(allows(&throttle), "{name}");
        assert!(!allows(&throttle), "{name}");
    }
}

#[test]
fn clearing_ends_a_denial() {
    let clock = ManualClock::new();
    let redis = process(&clock, Some(HOUR));
    let config = premier::Config::new(redis.clone()).keyspace("cleared");
    let throttle = Throttle::new("clearing", Limit::sliding_window(3, HOUR)).with_config(config);
    exhaust(&throttle);
    redis.clear("cleared").unwrap();
    assert!(allows(&throttle));
}

#[test]
fn units_that_another_process_gives_back_are_noticed_within_the_bound() {
    let clock = ManualClock::new();
    let throttle = || {
        let redis = process(&clock, Some(ms(40)));
        Throttle::new("others", Limit::fixed_window(3, HOUR)).with_config(redis)
    };
    let (here, there) = (throttle(), throttle());
    exhaust(&here);
    there.reset("k").unwrap();
    clock.advance(ms(39));
    assert!(!allows(&here));
    clock.advance(ms(1));
    assert!(allows(&here));
}

#[test]
fn a_bound_of_zero_asks_redis_every_time() {
    let clock = ManualClock::new();
    let redis = process(&clock, Some(Duration::ZERO));
    let throttle = Throttle::new("zero", Limit::fixed_window(3, HOUR)).with_config(redis);
    exhaust(&throttle);
    let scripts = asked("zero", || (0..10).for_each(|_| assert!(!allows(&throttle))));
    assert_eq!(scripts, 10);
}

#[test]
fn a_smaller_cost_passes_where_a_larger_one_is_denied() {
    for (name, limit) in [
        ("smaller-window", Limit::fixed_window(10, HOUR)),
        ("smaller-sliding", Limit::sliding_window(10, HOUR)),
        ("smaller-bucket", Limit::token_bucket(10, HOUR)),
        ("smaller-log", Limit::sliding_log(10, HOUR)),
    ] {
        let (_, throttle) = believing(name, limit);
        let takes = |cost| throttle.cost(cost).check("k").unwrap();
        assert!(takes(7).allowed);
        for cost in [5, 4, 5] {
            let denied = takes(cost);
            assert_eq!((denied.allowed, denied.remaining), (false, 3), "{name}");
        }
        let admitted = takes(2);
        assert_eq!((admitted.allowed, admitted.remaining), (true, 1), "{name}");
        assert_eq!((takes(5).allowed, takes(5).remaining), (false, 1), "{name}");
        assert_eq!((takes(2).allowed, takes(2).remaining), (false, 1), "{name}");
        assert!(takes(1).allowed, "{name}");
    }
}

#[test]
fn a_caller_that_waits_is_not_denied_because_others_were() {
    let redis = server().builder().deny_locally(HOUR).build().unwrap();
    let limit = Limit::token_bucket(10, SECOND).burst(1);
    let throttle = Throttle::new("waits", limit).with_config(redis);
    exhaust(&throttle);
    throttle.wait_at_most(SECOND).acquire("k").unwrap();
}

/// The answer of the denial is on its way while this process gives back.
#[tokio::test]
async fn a_denial_from_before_a_refund_is_not_repeated_after_it() {
    let proxy = DelayingProxy::to(server().port());
    let redis = RedisHandler::builder(proxy.url())
        .timeout(LONGEST)
        .deny_locally(HOUR)
        .build()
        .unwrap();
    let throttle = Throttle::new("late", Limit::fixed_window(1, HOUR)).with_config(redis);
    assert!(throttle.check_async("k").await.unwrap().allowed);
    proxy.set_delay(Duration::ZERO, ms(100));
    let mut denied = pin!(throttle.check_async("k"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(denied.as_mut().poll(&mut context).is_pending());
    tokio::time::sleep(ms(30)).await;
    let refund = throttle.refund_async("k", 1);
    let (denied, refunded) =
        within("both are answered", async { tokio::join!(denied, refund) }).await;
    assert!(!denied.unwrap().allowed);
    refunded.unwrap();
    assert!(throttle.check_async("k").await.unwrap().allowed);
}

#[tokio::test]
async fn denials_of_very_many_keys_are_not_all_kept() {
    const KEYS: usize = 72_000;
    const SAMPLE: usize = 16;
    let server = Server::start();
    let clock = ManualClock::new();
    let redis = server
        .builder()
        .clock(clock.clone())
        .deny_locally(HOUR)
        .build()
        .unwrap();
    let throttle = Throttle::new("keys", Limit::fixed_window(1, HOUR)).with_config(redis);
    let script =
        "for k = 1, ARGV[1] do redis.call('SET', 'premier:keys:fixed_window:' .. k, '0:1') end";
    server.command(&["EVAL", script, "0", &KEYS.to_string()]);
    // Each key that a script is asked about is read once.
    let reads = || -> usize {
        let stats = server.command(&["INFO", "commandstats"]);
        let reads = stats.split("cmdstat_get:calls=").nth(1).unwrap_or("0,");
        reads.split(',').next().unwrap().parse().unwrap()
    };
    let flood = async |keys: Vec<usize>| {
        for keys in keys.chunks(1_000) {
            let call = |key: &usize| {
                let (throttle, key) = (throttle.clone(), *key);
                tokio::spawn(async move { throttle.check_async(&key).await.unwrap().allowed })
            };
            let calls: Vec<_> = keys.iter().map(call).collect();
            for call in calls {
                assert!(!done("a call is answered", call).await);
            }
        }
    };
    flood((1..=KEYS).collect()).await;
    assert_eq!(reads(), KEYS);
    flood((1..=KEYS).step_by(SAMPLE).collect()).await;
    let kept = SAMPLE * (KEYS + KEYS / SAMPLE - reads());
    // As many as there are places, and not exactly as many of the sample.
    assert!(
        (60_000..68_000).contains(&kept),
        "about {kept} denials are kept"
    );
}
