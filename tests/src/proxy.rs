//! A TCP proxy that makes the network between a client and a server as bad as a test needs it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A proxy on a port of its own. It accepts connections at once and passes on what it receives after a
/// delay. It closes all connections when it is dropped.
#[derive(Debug)]
pub struct DelayingProxy {
    port: u16,
    network: Arc<Network>,
}

#[derive(Debug)]
struct Network {
    server: u16,
    to_server: Direction,
    to_client: Direction,
    open: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    is_closed: AtomicBool,
}

/// What happens to bytes that go one way.
#[derive(Debug, Default)]
struct Direction {
    delay_micros: AtomicU64,
    /// An additional delay for the next bytes, which those that follow on the connection cannot overtake.
    next_delay_micros: AtomicU64,
    is_stalled: AtomicBool,
    is_dropping: AtomicBool,
}

impl DelayingProxy {
    /// Starts a proxy without a delay to the server on this port of the loopback interface.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let network = Arc::new(Network {
            server,
            to_server: Direction::default(),
            to_client: Direction::default(),
            open: Mutex::default(),
            accepted: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        });
        thread::spawn({
            let network = Arc::clone(&network);
            move || accept(&listener, &network)
        });
        Self { port, network }
    }

    /// The URL of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Sets how long bytes travel in each direction. Bytes on their way are not affected.
    pub fn set_delay(&self, to_server: Duration, to_client: Duration) {
        let Network {
            to_server: up,
            to_client: down,
            ..
        } = &*self.network;
        up.delay_micros.store(micros(to_server), Ordering::Relaxed);
        down.delay_micros
            .store(micros(to_client), Ordering::Relaxed);
    }

    /// Delays the next reply by this much more, and with it those that follow on its connection.
    pub fn delay_next_reply(&self, by: Duration) {
        let next = &self.network.to_client.next_delay_micros;
        next.store(micros(by), Ordering::Relaxed);
    }

    /// Sets whether bytes wait in the proxy, in both directions.
    pub fn set_stalled(&self, is_stalled: bool) {
        for direction in self.network.directions() {
            direction.is_stalled.store(is_stalled, Ordering::Relaxed);
        }
    }

    /// Sets whether bytes are lost in the proxy, in both directions, while connections stay open.
    pub fn set_dropping(&self, is_dropping: bool) {
        for direction in self.network.directions() {
            direction.is_dropping.store(is_dropping, Ordering::Relaxed);
        }
    }

    /// Closes all connections.
    pub fn kill_connections(&self) {
        self.network.close_all();
    }

    /// The number of connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.network.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for DelayingProxy {
    fn drop(&mut self) {
        self.network.is_closed.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.network.close_all();
    }
}

impl Network {
    const fn directions(&self) -> [&Direction; 2] {
        [&self.to_server, &self.to_client]
    }

    fn close_all(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, network: &Arc<Network>) {
    for client in listener.incoming() {
        if network.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        network.accepted.fetch_add(1, Ordering::Relaxed);
        // Without a server the client's connection is closed, too.
        if let Ok(server) = TcpStream::connect(("127.0.0.1", network.server)) {
            let _ = connect(network, &client, &server);
        }
    }
}

fn connect(network: &Arc<Network>, client: &TcpStream, server: &TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut open = network.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.extend([client.try_clone()?, server.try_clone()?]);
    drop(open);
    pass(
        network,
        |network| &network.to_server,
        client.try_clone()?,
        server.try_clone()?,
    );
    pass(
        network,
        |network| &network.to_client,
        server.try_clone()?,
        client.try_clone()?,
    );
    Ok(())
}

/// Passes on bytes of one direction: one thread notes when they arrive, another writes them when they are due.
fn pass(
    network: &Arc<Network>,
    direction: fn(&Network) -> &Direction,
    from: TcpStream,
    to: TcpStream,
) {
    let (sent, due) = mpsc::channel();
    let (reading, writing) = (Arc::clone(network), Arc::clone(network));
    thread::spawn(move || receive(direction(&reading), from, &sent));
    thread::spawn(move || send(&writing, direction(&writing), to, &due));
}

fn receive(direction: &Direction, mut from: TcpStream, sent: &Sender<(Instant, Vec<u8>)>) {
    let mut part = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut part) {
        let delay = direction.delay_micros.load(Ordering::Relaxed)
            + direction.next_delay_micros.swap(0, Ordering::Relaxed);
        let due = Instant::now() + Duration::from_micros(delay);
        if sent.send((due, part[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn send(
    network: &Network,
    direction: &Direction,
    mut to: TcpStream,
    due: &Receiver<(Instant, Vec<u8>)>,
) {
    for (instant, bytes) in due {
        thread::sleep(instant.saturating_duration_since(Instant::now()));
        while direction.is_stalled.load(Ordering::Relaxed) {
            if network.is_closed.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        if !direction.is_dropping.load(Ordering::Relaxed) && to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
