//! Units that are settled or given back after a call has been admitted, in memory and on Redis.
#![forbid(unsafe_code)]

mod late_refunds;
mod settling;
mod settling_on_redis;
mod settling_sequences;
