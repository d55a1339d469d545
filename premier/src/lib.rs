//! premier
pub use premier_macros::throttle;
pub use premier_runtime::*;
#[doc(hidden)]
pub use premier_runtime::__private;
