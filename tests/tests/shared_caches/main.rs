//! Values that several processes share through Redis: what they belong to, and which calls an invalidation
//! reaches.
#![forbid(unsafe_code)]

mod shared_cache_fleet;
mod shared_cache_identity;
