//! Benchmarks live in `benches/`; this crate is the only place that may depend on peers.
