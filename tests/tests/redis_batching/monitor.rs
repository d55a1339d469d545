//! The script calls that a server runs, in their order.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use premier_tests::redis::Server;
use premier_tests::waits::received;

/// The keys and the arguments of an `EVALSHA`.
#[derive(Debug)]
pub(crate) struct ScriptCall {
    pub(crate) keys: Vec<String>,
    pub(crate) arguments: Vec<String>,
}

/// Watches a server by `MONITOR`.
pub(crate) struct Monitor {
    lines: Receiver<String>,
}

impl Monitor {
    pub(crate) fn start(server: &Server) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut reply = String::new();
        reader.read_line(&mut reply).unwrap();
        assert_eq!(reply.trim(), "+OK");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let is_of_client = !line.contains(" lua] ");
                if is_of_client && sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    /// Every script call until now, in the order in which the server ran them.
    pub(crate) fn stop(self, server: &Server) -> Vec<ScriptCall> {
        // Other tests may watch the server, too, each until its own mark.
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let last = format!("premier-last-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        server.command(&["ECHO", &last]);
        let mut calls = Vec::new();
        loop {
            let line = received("what the server runs", &self.lines);
            let words = words(&line);
            match words
                .first()
                .map(|word| word.to_ascii_uppercase())
                .as_deref()
            {
                Some("EVALSHA" | "EVAL") => {
                    let keys = words[2].parse::<usize>().unwrap();
                    calls.push(ScriptCall {
                        keys: words[3..3 + keys].to_vec(),
                        arguments: words[3 + keys..].to_vec(),
                    });
                }
                Some("ECHO") if words[1] == last => return calls,
                _ => {}
            }
        }
    }
}

/// The words of a line as `+1.5 [0 127.0.0.1:6] "GET" "key"`. Those that matter have no escapes.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split_once("] ").map_or("", |(_, words)| words);
    let quoted = quoted.trim().trim_matches('"');
    quoted.split("\" \"").map(ToOwned::to_owned).collect()
}
