//! A key-value server with versions and expiry. It stands for the one that a real store talks to.

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use premier::clock::Clock;

use super::protocol::{
    GET, REMOVE, SWAP, read_byte, read_bytes, read_number, write_bytes, write_number,
};

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Value {
    version: u64,
    /// By the server's clock.
    expires_at: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Values {
    map: Mutex<Map>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Map {
    values: HashMap<Vec<u8>, Value>,
    last_version: u64,
    /// The number of values at which those that have expired are looked for.
    sweep_at: usize,
}

impl Server {
    /// Starts a server on a free port of this machine. Values expire by `clock`.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Self {
            address: listener.local_addr()?,
            is_stopped: Arc::default(),
        };
        let values = Arc::new(Values {
            map: Mutex::default(),
            clock,
        });
        let is_stopped = Arc::clone(&server.is_stopped);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if is_stopped.load(Ordering::Relaxed) {
                    break;
                }
                let values = Arc::clone(&values);
                if let Ok(connection) = connection {
                    // Ends with an error when the client hangs up.
                    thread::spawn(move || values.serve(&connection));
                }
            }
        });
        Ok(server)
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Values {
    fn serve(&self, mut connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut reader = BufReader::new(connection);
        loop {
            let mut reply = Vec::new();
            match read_byte(&mut reader)? {
                GET => {
                    let key = read_bytes(&mut reader)?;
                    self.get(&key, &mut reply);
                }
                SWAP => {
                    let key = read_bytes(&mut reader)?;
                    let (version, ttl) = (read_number(&mut reader)?, read_number(&mut reader)?);
                    let bytes = read_bytes(&mut reader)?;
                    reply.push(u8::from(self.swap(key, version, ttl, bytes)));
                }
                REMOVE => {
                    let prefix = read_bytes(&mut reader)?;
                    let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
                    map.values.retain(|key, _| !key.starts_with(&prefix));
                    reply.push(1);
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            connection.write_all(&reply)?;
        }
    }

    fn get(&self, key: &[u8], reply: &mut Vec<u8>) {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let found = map.values.get(key).filter(|value| value.expires_at > now);
        write_number(reply, now);
        write_number(reply, found.map_or(0, |value| value.version));
        write_bytes(reply, found.map_or(&[], |value| &value.bytes));
    }

    fn swap(&self, key: Vec<u8>, version: u64, ttl: u64, bytes: Vec<u8>) -> bool {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let found = map.values.get(&key).filter(|value| value.expires_at > now);
        if found.map_or(0, |value| value.version) != version {
            return false;
        }
        if ttl == 0 {
            map.values.remove(&key);
            return true;
        }
        map.last_version += 1;
        let value = Value {
            version: map.last_version,
            expires_at: now.saturating_add(ttl),
            bytes,
        };
        map.values.insert(key, value);
        if map.values.len() > map.sweep_at {
            map.values.retain(|_, value| value.expires_at > now);
            map.sweep_at = 1_000 + 2 * map.values.len();
        }
        true
    }
}
