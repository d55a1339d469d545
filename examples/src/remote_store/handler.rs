//! The handler: what premier asks of a store.

use std::net::SocketAddr;
use std::sync::Arc;

use premier::clock::Clock;
use premier::{BoxFuture, Decision, Error, Handler, Request};

use super::client::Client;
use super::worker::Worker;

/// Keeps the state of limits on a [`Server`](super::Server), so that all processes that use it share them.
#[derive(Debug)]
pub struct RemoteStore {
    client: Arc<Client>,
    worker: Worker,
    clock: Option<Arc<dyn Clock>>,
}

impl RemoteStore {
    /// Creates the handler for a server at this address. Connects at the first call.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let client = Arc::new(Client::new(address));
        Self {
            worker: Worker::start(Arc::clone(&client)),
            client,
            clock: None,
        }
    }

    /// Sets the clock by which callers sleep until their turn, for tests whose server has this clock, too.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }
}

impl Handler for RemoteStore {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.client.decide(request)
    }

    fn handle_async<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Decision, Error>> {
        Box::pin(self.worker.decide(&request))
    }

    fn handle_detached(&self, request: &Request<'_>) {
        self.worker.detach(request);
    }

    // Blocks a task, too: keyspaces are cleared in tests.
    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        self.client.clear(keyspace)
    }

    // `take_all` stays as it is: the server can change only one key at once.

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.clock.clone()
    }

    fn name(&self) -> &'static str {
        "remote store"
    }
}
