//! Ports for servers of tests.

use std::net::{TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The system gives higher ports to connections that go out. Such a connection could take the port of a server
/// that is about to start again, and a client of that server could even connect to itself.
const FIRST: u16 = 10_000;

const COUNT: u16 = 10_000;

/// The distance from the port of a cluster node for clients to its port for other nodes.
const BUS: u16 = 10_000;

/// A port of the loopback interface on which nothing listens. The port that a cluster node uses for other nodes is
/// free, too.
///
/// The port belongs to this process until the process ends: test programs that run at the same time get others.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn free_port() -> u16 {
    // A socket for UDP, which no server uses, marks a port as taken. The system removes the mark of a process that
    // is gone.
    static MARKS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..COUNT {
        // Other processes begin elsewhere.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let number = process::id().wrapping_mul(211).wrapping_add(number);
        let port = FIRST + (number % u32::from(COUNT)) as u16;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if let Ok(mark) = UdpSocket::bind(("127.0.0.1", port))
            && is_free(port)
            && is_free(port + BUS)
        {
            marks.push(mark);
            return port;
        }
    }
    panic!("no port is free");
}
