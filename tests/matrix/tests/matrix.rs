//! Functions of every shape with every stack of attributes behave as their bodies and their attributes say.
//!
//! `build.rs` makes the modules from `shapes.rs`, and `src/lib.rs` says what a function has to do.
#![deny(warnings)]
// What a caller sees of `()` is asked of all outputs.
#![allow(clippy::unit_arg)]

/// What the shapes use.
mod prelude {
    #![allow(unused_imports)]
    pub(crate) use std::fmt::{Debug, Display};
    pub(crate) use std::future::Future;
    pub(crate) use std::pin::Pin;
    pub(crate) use std::sync::Arc;

    pub(crate) use premier_tests_matrix::{AppResult, Failure, Held, Probe, See, Seen, Subject};
}

// Clippy reads such functions in `premier-tests-lints`, under stricter lints.
#[cfg(not(clippy))]
include!(concat!(env!("OUT_DIR"), "/matrix.rs"));
