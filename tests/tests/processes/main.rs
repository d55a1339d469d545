//! Tests whose limits are in processes that they start.

mod multi_process;
mod resident_memory;
