//! A proxy that understands commands, but not `HELLO`, as proxies from before RESP3 do.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::redis::reply_end;

/// A proxy on a port of its own, which lives as long as the process.
#[derive(Debug)]
pub struct OldProxy {
    port: u16,
    refused: Arc<AtomicUsize>,
}

impl OldProxy {
    /// Starts a proxy to the server on this port of the loopback interface.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let refused = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&refused);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let refused = Arc::clone(&counter);
                thread::spawn(move || serve(client, server, &refused));
            }
        });
        Self { port, refused }
    }

    /// The URL of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// How many `HELLO` it has refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Answers one command after the other.
fn serve(mut client: TcpStream, server: u16, refused: &AtomicUsize) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", server))?;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    loop {
        // A command has the form of a reply that is an array.
        let command = read_one(&mut client, &mut asked)?;
        let word = String::from_utf8_lossy(&command);
        if word.lines().nth(2) == Some("HELLO") {
            refused.fetch_add(1, Ordering::Relaxed);
            client.write_all(b"-ERR unknown command 'HELLO'\r\n")?;
        } else {
            server.write_all(&command)?;
            client.write_all(&read_one(&mut server, &mut answered)?)?;
        }
    }
}

/// Reads one command or reply. `read` holds what follows it.
fn read_one(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut part = [0; 16 * 1024];
    loop {
        if let Some(end) = reply_end(read, 0) {
            let rest = read.split_off(end);
            return Ok(std::mem::replace(read, rest));
        }
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => read.extend_from_slice(&part[..length]),
        }
    }
}
