//! premier in other libraries: tower, axum, and a live page.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "dashboard")]
pub mod dashboard;
#[cfg(feature = "tower")]
pub mod tower;
