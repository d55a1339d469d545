//! The numbers that the algorithms compute with.

/// The numbers of a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Numbers {
    pub(super) quota: u64,
    /// In nanoseconds.
    pub(super) period: u64,
    /// The most that a call may cost.
    pub(super) capacity: u64,
    /// The emission interval T = interval / den nanoseconds, as a fraction in lowest terms.
    pub(super) interval: u64,
    pub(super) den: u64,
}
