//! The options of `#[cache]`. The functions take three numbers, and each computation returns a new
//! value.

use super::*;

static CALLS: AtomicU32 = AtomicU32::new(0);

fn next(what: u32) -> CallResult {
    outcome(&CALLS, what)
}

type Load = fn(u32, u32, u32) -> CallResult;

macro_rules! loads {
    (|$what:ident, $page:ident, $key:ident| $($attribute:tt)*) => {{
        $($attribute)*
        fn sync($what: u32, $page: u32, $key: u32) -> CallResult {
            let _ = ($page, $key);
            next($what)
        }

        $($attribute)*
        async fn asynchronous($what: u32, $page: u32, $key: u32) -> CallResult {
            let _ = ($page, $key);
            next($what)
        }

        $($attribute)*
        fn future($what: u32, $page: u32, $key: u32) -> impl Future<Output = CallResult> + Send {
            let _ = ($page, $key);
            async move { next($what) }
        }

        $($attribute)*
        fn boxed($what: u32, $page: u32, $key: u32) -> Pin<Box<dyn Future<Output = CallResult> + Send>> {
            let _ = ($page, $key);
            Box::pin(async move { next($what) })
        }

        let shapes: [(&str, Load); 4] = [
            ("sync", sync),
            ("async", |what, page, key| drive(asynchronous(what, page, key))),
            ("future", |what, page, key| drive(future(what, page, key))),
            ("boxed", |what, page, key| drive(boxed(what, page, key))),
        ];
        shapes
    }};
}

/// Runs `show` on a function of each shape. A call is fresh when it computes a new value.
fn each(shapes: [(&str, Load); 4], show: impl Fn(&dyn Fn(u32, u32, u32) -> bool, &str)) {
    let _turn = alone();
    for (shape, load) in shapes {
        let fresh = |what, page, key| {
            let before = CALLS.load(Ordering::SeqCst);
            let _ = load(what, page, key);
            CALLS.load(Ordering::SeqCst) > before
        };
        show(&fresh, shape);
    }
}

#[test]
fn by_default_every_argument_is_part_of_the_key() {
    each(loads!(|what, page, key| #[cache]), |fresh, shape| {
        assert!(fresh(1, 2, 3), "{shape}");
        assert!(!fresh(1, 2, 3), "{shape}");
        assert!(fresh(9, 2, 3), "{shape}: the first argument");
        assert!(fresh(1, 9, 3), "{shape}: the second argument");
        assert!(fresh(1, 2, 9), "{shape}: the third argument");
        assert!(fresh(3, 2, 1), "{shape}: the order");
        assert!(!fresh(1, 2, 9), "{shape}");
    });
}

#[test]
fn only_the_given_key_identifies_a_value() {
    each(
        loads!(|what, page, key| #[cache(key = key)]),
        |fresh, shape| {
            assert!(fresh(1, 2, 3), "{shape}");
            assert!(!fresh(4, 5, 3), "{shape}");
            assert!(fresh(1, 2, 4), "{shape}");
        },
    );
}

#[test]
fn a_keymaker_receives_every_argument_in_order() {
    let loads = loads!(|what, page, key|
        #[cache(keymaker = |_, page, key| format!("{page}:{key}"))]);
    each(loads, |fresh, shape| {
        assert!(fresh(1, 2, 3), "{shape}");
        assert!(!fresh(9, 2, 3), "{shape}");
        assert!(fresh(1, 3, 2), "{shape}");
    });
}

#[test]
fn a_value_is_kept_exactly_for_its_ttl() {
    each(
        loads!(|what, page, key| #[cache(ttl = 10)]),
        |fresh, shape| {
            assert!(fresh(0, 0, 0), "{shape}");
            CLOCK.advance(10 * SECOND - Duration::from_nanos(1));
            assert!(!fresh(0, 0, 0), "{shape}");
            CLOCK.advance(Duration::from_nanos(1));
            assert!(fresh(0, 0, 0), "{shape}");
        },
    );
}

#[test]
fn a_stale_value_replaces_a_failure_until_it_is_too_old() {
    static FAILS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    fn flaky() -> CallResult {
        let what = if FAILS.load(Ordering::SeqCst) {
            MINOR
        } else {
            0
        };
        next(what)
    }
    #[cache(ttl = 10, stale = 30)]
    fn sync() -> CallResult {
        flaky()
    }
    #[cache(ttl = 10, stale = 30)]
    async fn asynchronous() -> CallResult {
        flaky()
    }
    #[cache(ttl = 10, stale = 30)]
    fn future() -> impl Future<Output = CallResult> + Send {
        async { flaky() }
    }
    #[cache(ttl = 10, stale = 30)]
    fn boxed() -> Pin<Box<dyn Future<Output = CallResult> + Send>> {
        Box::pin(async { flaky() })
    }
    let _turn = alone();
    let shapes: [(&str, fn() -> CallResult); 4] = [
        ("sync", sync),
        ("async", || drive(asynchronous())),
        ("future", || drive(future())),
        ("boxed", || drive(boxed())),
    ];
    for (shape, load) in shapes {
        FAILS.store(false, Ordering::SeqCst);
        let value = load().unwrap();
        FAILS.store(true, Ordering::SeqCst);
        CLOCK.advance(39 * SECOND);
        assert_eq!(load().unwrap(), value, "{shape}");
        CLOCK.advance(SECOND);
        assert!(load().is_err(), "{shape}");
    }
}

#[test]
fn a_none_is_kept_without_only_some() {
    each(loads!(|what, page, key| #[cache]), |fresh, shape| {
        assert!(fresh(NONE, 0, 0) && !fresh(NONE, 0, 0), "{shape}");
    });
    each(
        loads!(|what, page, key| #[cache(only_some = false)]),
        |fresh, shape| {
            assert!(fresh(NONE, 0, 0) && !fresh(NONE, 0, 0), "{shape}");
        },
    );
    each(
        loads!(|what, page, key| #[cache(only_some)]),
        |fresh, shape| {
            assert!(fresh(NONE, 0, 0) && fresh(NONE, 0, 0), "{shape}");
            assert!(fresh(1, 0, 0) && !fresh(1, 0, 0), "{shape}");
        },
    );
}

/// Without a `Result`, the cached value itself is the `Option`.
#[test]
fn only_some_applies_to_functions_without_a_result() {
    fn value(some: bool) -> Option<u32> {
        let call = CALLS.fetch_add(1, Ordering::SeqCst);
        some.then_some(call)
    }
    #[cache(only_some)]
    fn sync(some: bool) -> Option<u32> {
        value(some)
    }
    #[cache(only_some)]
    async fn asynchronous(some: bool) -> Option<u32> {
        value(some)
    }
    #[cache(only_some)]
    fn future(some: bool) -> impl Future<Output = Option<u32>> + Send {
        async move { value(some) }
    }
    #[cache(only_some)]
    fn boxed(some: bool) -> Pin<Box<dyn Future<Output = Option<u32>> + Send>> {
        Box::pin(async move { value(some) })
    }
    let _turn = alone();
    let shapes: [(&str, fn(bool) -> Option<u32>); 4] = [
        ("sync", sync),
        ("async", |some| drive(asynchronous(some))),
        ("future", |some| drive(future(some))),
        ("boxed", |some| drive(boxed(some))),
    ];
    for (shape, load) in shapes {
        let before = CALLS.load(Ordering::SeqCst);
        assert_eq!((load(false), load(false)), (None, None));
        assert_eq!(CALLS.load(Ordering::SeqCst) - before, 2, "{shape}");
        assert_eq!(load(true), load(true));
        assert_eq!(CALLS.load(Ordering::SeqCst) - before, 3, "{shape}");
    }
}

#[test]
fn errors_are_never_kept() {
    each(
        loads!(|what, page, key| #[cache(ttl = 60)]),
        |fresh, shape| {
            assert!(fresh(MINOR, 0, 0) && fresh(MINOR, 0, 0), "{shape}");
        },
    );
}

#[test]
fn the_capacity_bounds_the_number_of_values() {
    each(
        loads!(|what, page, key| #[cache(capacity = 10)]),
        |fresh, shape| {
            let computed = |from| (from..from + 300).filter(|page| fresh(0, *page, 0)).count();
            assert_eq!(computed(0), 300, "{shape}");
            assert!(computed(0) > 250, "{shape}");
        },
    );
}

#[test]
fn clearing_the_default_keyspace_keeps_values_of_another_keyspace() {
    let loads = loads!(|what, page, key| #[cache(keyspace = "elsewhere")]);
    each(loads, |fresh, shape| {
        assert!(fresh(0, 0, 0), "{shape}");
        premier::clear().unwrap();
        assert!(!fresh(0, 0, 0), "{shape}");
    });
    each(loads!(|what, page, key| #[cache]), |fresh, shape| {
        assert!(fresh(0, 0, 0), "{shape}");
        premier::clear().unwrap();
        assert!(fresh(0, 0, 0), "{shape}");
    });
}
