//! Redis servers that are down or work only in part, and what only real time shows about Redis.

mod redis_in_real_time;
mod redis_partial_failures;
