//! The five algorithms as pure functions.
//!
//! They use no clock, no lock and no store: a decision is a function of the state of one key, the
//! [`Plan`] of its limit, the time in nanoseconds and the cost of the call. All arithmetic is on
//! integers. Where period / quota is not a whole number of nanoseconds, instants are counted in
//! fractions of a nanosecond, so nothing is rounded.
//!
//! A stored instant that lies further in the future than the algorithm can have put it means that the
//! clock stepped back. It is clamped, so a step back costs a key at most one full refill.

mod answer;
mod combined;
mod encoding;
mod fixed_window;
mod gcra;
mod leaky_bucket;
mod numbers;
mod owing_window;
mod packed;
mod plan;
mod rule;
mod sliding_log;
mod sliding_window;
mod state;
mod tat;
mod token_bucket;
mod window;

pub(crate) use self::answer::{Admission, Answer, Effect};
#[cfg(feature = "redis")]
pub(crate) use self::combined::combine;
pub(crate) use self::combined::{earliest_behind, take_all};
pub(crate) use self::encoding::{decode, encode};
pub(crate) use self::gcra::Gcra;
#[cfg(feature = "redis")]
pub(crate) use self::owing_window::{OwingWindow, most_units};
pub(crate) use self::packed::TimeBase;
pub use self::plan::Plan;
pub(crate) use self::rule::Rule;
pub use self::state::State;
pub(crate) use self::window::{Window, WindowState};
