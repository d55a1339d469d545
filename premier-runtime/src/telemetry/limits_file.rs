//! Metrics of the limits file.

#[cfg(feature = "metrics")]
use super::descriptions::describe;

/// Records whether the file as it is now is in force, how often it was applied, and how many names in it no limit has
/// had.
pub(crate) fn record_limits_file(is_in_force: bool, applied: u64, unknown: usize) {
    let _ = (is_in_force, applied, unknown);
    #[cfg(feature = "metrics")]
    {
        describe();
        metrics::gauge!("premier_limits_file_in_force").set(f64::from(u8::from(is_in_force)));
        metrics::counter!("premier_limits_file_applied_total").absolute(applied);
        metrics::gauge!("premier_limits_file_unknown_names").set(unknown as f64);
    }
}
