//! Tests of limits in processes that the test starts.

mod multi_process;
mod resident_memory;
