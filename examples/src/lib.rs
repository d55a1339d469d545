//! What the examples consist of besides their binaries.

pub mod remote_store;
