//! What a limit answers.

use std::time::Duration;

/// The answer of a limit to one call.
///
/// All times are relative to the instant of the decision. They are exact to one nanosecond in
/// memory and to one microsecond on Redis, rounded up: waiting that long is always enough.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the call may go ahead (after [`Decision::delay`]).
    pub allowed: bool,
    /// The capacity of the limit: the most units a fresh key can give at one instant.
    pub limit: u64,
    /// What could still be taken at this instant, after this call.
    pub remaining: u64,
    /// How long until an equal call would be admitted, if nobody else takes anything; zero when
    /// allowed.
    pub retry_after: Duration,
    /// How long until the state of the key equals that of one never seen.
    pub reset_after: Duration,
    /// How long an admitted call has to wait for its slot in a leaky bucket; zero for all others.
    pub delay: Duration,
    pub(crate) reservation: Reservation,
}

impl Decision {
    /// A decision about a limit of this capacity: allowed, with nothing remaining and no times.
    /// For implementors of [`Handler`](crate::Handler), who set the public fields they know.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self {
            allowed: true,
            limit,
            remaining: 0,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
            delay: Duration::ZERO,
            reservation: Reservation(None),
        }
    }
}

/// The end of a reserved slot in the units of the algorithm: enough to give the slot back as long
/// as nobody has queued up behind it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reservation(pub(crate) Option<u128>);

/// Nanoseconds as a `Duration`; what would not fit is the longest there is.
pub(crate) fn nanos(count: u128) -> Duration {
    const PER_SECOND: u128 = 1_000_000_000;
    match u64::try_from(count) {
        Ok(count) => Duration::from_nanos(count),
        Err(_) => u64::try_from(count / PER_SECOND).map_or(Duration::MAX, |seconds| {
            Duration::new(seconds, u32::try_from(count % PER_SECOND).unwrap_or(0))
        }),
    }
}
