//! The public types can be sent, shared, moved while pinned and used after a panic, or are known not to be.
//!
//! Removing one of these traits breaks users, and a private field may do so unseen.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::panic::{RefUnwindSafe, UnwindSafe};

use premier::algorithms::{Plan, State};
use premier::axum::PeerIp;
use premier::cache::{LoadToken, ValueStore};
use premier::clock::{Clock, CoarseClock, ManualClock, SystemClock};
use premier::dashboard::Dashboard;
use premier::limits::{FileStatus, LimitChange, NamedLimit};
use premier::testing::{Decisions, Scope};
use premier::tower::{
    HeaderFormat, MissingKey, RateLimitHeaders, RateLimitHeadersFuture, RateLimitHeadersLayer,
    Rejection, RequestKey, ResponseFuture, ThrottleBody, ThrottleLayer, ThrottleService,
    TrustedProxies,
};
use premier::{
    Algo, BackendSource, BoxFuture, Config, Decision, Error, Handler, Key, Lease, Limit,
    MemoryHandler, MemoryHandlerBuilder, OnBackendError, OnDrop, Operation, OutageCalls, Permit,
    RedisBuilder, RedisHandler, RedisStatus, Request, Reservation, RetryBudget, RetryEvent,
    Throttle,
};

macro_rules! assert_all {
    ($assert:ident: $($type:ty),* $(,)?) => {
        $($assert::<$type>();)*
    };
}

#[test]
fn all_types_can_be_sent_and_shared() {
    const fn everywhere<T: Send + Sync + Unpin>() {}
    assert_all! { everywhere:
        Algo, BackendSource, CoarseClock, Config, Dashboard, Decision, Decisions, Error, FileStatus,
        HeaderFormat, Key<'static>, Lease, Limit, LimitChange, LoadToken, ManualClock, MemoryHandler, MemoryHandlerBuilder, MissingKey, NamedLimit, OnBackendError, OnDrop,
        Operation, OutageCalls, PeerIp, Permit, Plan, RateLimitHeaders<()>, RateLimitHeadersFuture<()>, RateLimitHeadersLayer, RedisBuilder, RedisHandler, RedisStatus, Rejection,
        Request<'static>, RequestKey, Reservation, RetryBudget, RetryEvent<'static, Error>, Scope, State,
        SystemClock, Throttle, ThrottleBody<String>, ThrottleLayer, ThrottleService<()>, TrustedProxies,
    }
    const fn shared<T: Send + Sync + ?Sized>() {}
    assert_all! { shared: dyn Handler, dyn Clock, dyn ValueStore }
}

/// What a store and a service await need not be `Sync`, so they are not either.
#[test]
fn futures_can_be_sent() {
    const fn sent<T: Send>() {}
    assert_all! { sent: BoxFuture<'static, ()>, ResponseFuture<axum::Router, axum::body::Body> }
}

/// Handlers and clocks of the user may lack these traits, so throttles and configurations have none of them.
#[test]
fn values_and_errors_can_be_used_after_a_panic() {
    const fn after_a_panic<T: UnwindSafe + RefUnwindSafe>() {}
    assert_all! { after_a_panic:
        Algo, BackendSource, CoarseClock, Decision, Decisions, Error, FileStatus, Key<'static>, Lease, Limit,
        ManualClock, NamedLimit, OnBackendError, OnDrop, Operation, OutageCalls, PeerIp, Plan, RedisStatus, Rejection,
        Request<'static>, Reservation, RetryBudget, RetryEvent<'static, Error>, State, SystemClock,
    }
}

#[test]
fn no_public_type_is_missing_here() {
    let items = include_str!("../../../.ci/public-items.txt");
    let source = include_str!("auto_traits.rs");
    let (_, tests) = source.split_once("macro_rules!").unwrap();
    let words: BTreeSet<&str> = tests.split(|c: char| !c.is_alphanumeric()).collect();
    for kind in ["struct.", "enum."] {
        let types = items.lines().filter_map(|item| item.split_once(kind));
        for (module, name) in types {
            assert!(words.contains(name), "{module}{name}");
        }
    }
}
