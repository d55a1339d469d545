//! Functions of many shapes with every attribute. Clippy must find nothing in this crate.
//!
//! `build.rs` makes the modules from the files in `shapes`.
#![deny(warnings, clippy::all, clippy::pedantic, clippy::nursery)]

pub mod arguments;

/// Functions without any lint: an expansion must not add one.
pub mod silent {
    include!(concat!(env!("OUT_DIR"), "/silent.rs"));
}

/// Functions with a lint each, which they `#[expect]`: an expansion must not hide it.
pub mod reported {
    include!(concat!(env!("OUT_DIR"), "/reported.rs"));
}
