//! A call that asks a limiter for units.

use super::max_wait::MaxWait;
use super::named::Limiter;

/// A call that asks a limiter for units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) limiter: &'a Limiter,
    pub(crate) key: Option<&'a str>,
    pub(crate) cost: u64,
    pub(crate) max_wait: MaxWait,
}
