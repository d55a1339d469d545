//! What the tests of premier share, and what the author of another
//! [`Handler`](premier::Handler) can test it with.

pub mod conformance;
