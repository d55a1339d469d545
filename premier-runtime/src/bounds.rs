//! What attributes ask of the types of their values, and of the functions that they are on.
//!
//! These traits have names because the compiler's messages mention them. They have no other use: a
//! type has them by itself or by implementing the traits of std that each page names.

#[cfg(feature = "cache")]
pub use crate::attributes::cache::arguments::KeyArgument;
#[cfg(feature = "cache")]
pub use crate::attributes::cache::codec::CacheValue;
#[cfg(feature = "cache")]
#[doc(hidden)]
pub use crate::attributes::cache::codec::probe as cached_value;
#[cfg(feature = "cache")]
pub use crate::attributes::cache::output::OptionalValue;
pub use crate::attributes::into_arg::{Algorithm, LeaseSize, LengthOfTime, WholeNumber};
pub use crate::attributes::output::{NoResult, ResultOutput};
pub use crate::attributes::rejection::ErrorOfRejection;
pub use crate::attributes::retry::{ArgumentOfRetry, DelayFunction, ErrorOfBadValue};
pub use crate::attributes::timeout::{ArgumentOfWorker, OutputOfWorker};
pub use crate::key::subject::CallKey;
