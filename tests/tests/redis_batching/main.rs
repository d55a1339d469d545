//! Calls that leave together are decided as if each had come alone, and cost the server less.
#![forbid(unsafe_code)]

mod exactness;
mod monitor;
