//! The calls of the server, and the decision about a request by compare-and-swap.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use premier::{Decision, Error, Request};

use super::protocol::{
    GET, REMOVE, SWAP, read_byte, read_bytes, read_number, write_bytes, write_number,
};

/// After how long a call fails. The policy of the configuration decides then (`OnBackendError`).
const TIMEOUT: Duration = Duration::from_millis(500);

/// How often a change is tried. Each time it fails, that of another client has succeeded.
const MAX_ATTEMPTS: usize = 1_000;

/// A value that the server has returned.
struct Found {
    /// The time of the server.
    now: u64,
    version: u64,
    bytes: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    /// Idle connections.
    connections: Mutex<Vec<TcpStream>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connections: Mutex::default(),
        }
    }

    /// Carries a request out: reads the state, decides by it, and stores it unless another client has changed
    /// it meanwhile. By the server's clock, so that clients agree about the time.
    pub(super) fn decide(&self, request: &Request<'_>) -> Result<Decision, Error> {
        let key = request.key.to_string();
        for _ in 0..MAX_ATTEMPTS {
            let found = self.get(&key).map_err(unreachable)?;
            let mut states = request.decode(found.bytes.as_deref())?;
            let decision = request.apply(&mut states, found.now)?;
            let (bytes, ttl) = match request.encode(&states, found.now) {
                Some((bytes, ttl)) => (Some(bytes), ttl),
                None => (None, Duration::ZERO),
            };
            // A peek and a denied call change nothing.
            if bytes == found.bytes
                || self
                    .swap(&key, found.version, ttl, bytes.as_deref())
                    .map_err(unreachable)?
            {
                return Ok(decision);
            }
        }
        Err(Error::backend(
            "remote store",
            format!("others have changed the key {MAX_ATTEMPTS} times"),
        ))
    }

    /// Removes all keys of a keyspace.
    pub(super) fn clear(&self, keyspace: &str) -> Result<(), Error> {
        let mut message = vec![REMOVE];
        write_bytes(&mut message, format!("{keyspace}:").as_bytes());
        self.call(&message, |reply| read_byte(reply).map(drop))
            .map_err(unreachable)
    }

    fn get(&self, key: &str) -> io::Result<Found> {
        let mut message = vec![GET];
        write_bytes(&mut message, key.as_bytes());
        self.call(&message, |reply| {
            let (now, version) = (read_number(reply)?, read_number(reply)?);
            let bytes = read_bytes(reply)?;
            Ok(Found {
                now,
                version,
                bytes: (version != 0).then_some(bytes),
            })
        })
    }

    fn swap(
        &self,
        key: &str,
        version: u64,
        ttl: Duration,
        bytes: Option<&[u8]>,
    ) -> io::Result<bool> {
        let mut message = vec![SWAP];
        write_bytes(&mut message, key.as_bytes());
        write_number(&mut message, version);
        write_number(
            &mut message,
            u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX),
        );
        write_bytes(&mut message, bytes.unwrap_or_default());
        self.call(&message, |reply| Ok(read_byte(reply)? == 1))
    }

    fn call<T>(
        &self,
        message: &[u8],
        read: impl FnOnce(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = connection
            .write_all(message)
            .and_then(|()| read(&mut connection));
        match answer {
            Ok(_) => self.idle().push(connection),
            // The others have most likely failed with it.
            Err(_) => self.idle().clear(),
        }
        answer
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let connection = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        Ok(connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error by which premier knows that the store could not decide.
fn unreachable(error: io::Error) -> Error {
    Error::backend("remote store", error.to_string())
}
