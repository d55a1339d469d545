//! How calls are settled whose actual cost is known only afterwards.

/// What happens to the units of a [`Permit`](crate::Permit) that is dropped before it has been settled or
/// refunded.
///
/// ```
/// use premier::{Limit, OnDrop, Throttle};
/// use std::time::Duration;
///
/// let jobs = Throttle::new("jobs", Limit::fixed_window(10, Duration::from_secs(60)));
/// drop(jobs.cost(4).acquire("alice")?);
/// assert_eq!(jobs.peek("alice")?.remaining, 6);
///
/// drop(jobs.on_drop(OnDrop::Refund).cost(4).acquire("alice")?);
/// assert_eq!(jobs.peek("alice")?.remaining, 6);
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnDrop {
    /// They stay taken.
    #[default]
    Keep,
    /// They are refunded, as by [`Permit::refund`](crate::Permit::refund), in the background.
    Refund,
}

/// How the calls of a limit are settled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settling {
    /// How many units a key may owe; `None` means one capacity.
    pub(crate) max_debt: Option<u64>,
    pub(crate) on_drop: OnDrop,
}
