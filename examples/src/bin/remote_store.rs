//! A store of one's own: two "processes" share a limit through a key-value server that this example starts.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use examples::remote_store::{RemoteStore, Server};
use premier::clock::SystemClock;
use premier::{Config, Error, Limit, Throttle};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start(Arc::new(SystemClock))?;
    println!("a key-value server at {}", server.address());

    // Ten a second for both together, with a handler and a connection each.
    let limit = Limit::token_bucket(10, Duration::from_secs(1));
    let process = |name: &'static str| {
        let config = Config::new(RemoteStore::new(server.address())).keyspace("shop");
        let search = Throttle::new("search", limit).with_config(config);
        thread::spawn(move || -> Result<(&str, u32), Error> {
            let mut admitted = 0;
            for _ in 0..10 {
                admitted += u32::from(search.check("alice")?.allowed);
                thread::sleep(Duration::from_millis(1));
            }
            Ok((name, admitted))
        })
    };
    for process in [process("one"), process("two")] {
        let (name, admitted) = process.join().expect("no panic")?;
        println!("process {name} was admitted {admitted} times out of 10");
    }

    let config = Config::new(RemoteStore::new(server.address())).keyspace("shop");
    let search = Throttle::new("search", limit).with_config(config).wait();
    let admitted = search.acquire("alice")?;
    println!("then a caller waited {:?} for its slot", admitted.waited());
    Ok(())
}
