//! The example of a store outside of premier is a store as any other.

use std::sync::{Arc, Mutex};

use examples::remote_store::{RemoteStore, Server};
use premier::clock::{Clock, ManualClock};

#[test]
fn a_store_of_bytes_with_compare_and_swap_passes_the_conformance_suite() {
    let servers = Mutex::new(Vec::new());
    premier_conformance::check(|clock: ManualClock| {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let server = Server::start(Arc::clone(&clock)).unwrap();
        let store = RemoteStore::new(server.address()).clock(clock);
        servers.lock().unwrap().push(server);
        store
    });
}
