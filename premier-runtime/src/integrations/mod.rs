//! Integrations: a tower layer, axum responses and extractors, and a dashboard.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "dashboard")]
pub mod dashboard;
#[cfg(feature = "tower")]
pub mod tower;
