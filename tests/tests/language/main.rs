//! The attributes on every shape of function, with every form of argument: what the functions return, keep,
//! drop and raise as errors. All tests use the default configuration.
#![forbid(unsafe_code)]

mod async_traits;
mod attribute;
mod closures;
mod composition_shapes;
mod drop_order;
mod errors;
mod fallback;
mod futures;
mod language_corners;
mod late_arguments;
mod opaque_outputs;
mod panics;
mod receivers;
mod result_types;
mod shapes;
mod worker_arguments;
