//! Values that several processes share through Redis: the arguments they belong to, and the calls for which an
//! invalidation holds.
#![forbid(unsafe_code)]

mod shared_cache_fleet;
mod shared_cache_identity;
