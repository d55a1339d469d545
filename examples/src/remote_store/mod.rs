//! A store outside of premier, for authors of other ones: a [`Handler`](premier::Handler) over a key-value
//! server that knows nothing about limits. It uses premier's public interface and std.
//!
//! - `protocol`: how client and server write what they send.
//! - [`Server`]: values with a version and a time to live, changed by compare-and-swap.
//! - `client`: the calls, over connections that threads share.
//! - [`RemoteStore`]: the handler.
//! - `worker`: a thread that makes calls for tasks, which must not block.
//!
//! `examples/tests/remote_store.rs` runs the conformance suite on it, as every store should.

mod client;
mod handler;
mod protocol;
mod server;
mod worker;

pub use self::handler::RemoteStore;
pub use self::server::Server;
