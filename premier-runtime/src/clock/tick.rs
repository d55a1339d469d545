//! The system's monotonic clock as of its last tick.

/// Nanoseconds of `CLOCK_MONOTONIC_COARSE`: late by up to a tick, which is 1 to 10 ms (the kernel's
/// `CONFIG_HZ`), or by more where the kernel was kept from its ticks; never early, and it does not
/// step back but for a fraction of a tick on some kernels.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(crate) fn last_tick() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::MonotonicCoarse);
    // It counts from the start of the machine: neither is negative, and the sum fits for 580 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// No such clock: later than anything that asks how late it is.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[inline]
pub(crate) const fn last_tick() -> u64 {
    u64::MAX
}
