//! Ten thousand simultaneous connections.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use premier_tests::waits::finishes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

const CONNECTIONS: usize = 10_000;
/// How long all of them may take on a busy machine. It only matters when the test fails.
const PATIENCE: Duration = Duration::from_secs(240);
/// More than one request of each connection, and less than two.
const QUOTA: usize = 13_000;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends one request and returns the status of its reply.
async fn ask(connection: &mut TcpStream) -> std::io::Result<u16> {
    connection
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    let mut reply = Vec::new();
    let mut chunk = [0; 1_024];
    loop {
        let read = connection.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        reply.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&reply);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .expect("a length");
        if body.len() >= length {
            return Ok(head[9..12].parse().expect("a status"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_share_one_limit() {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(
        files as usize > CONNECTIONS + 100,
        "{files} open files are allowed"
    );
    let mut server = Command::new(env!("CARGO_BIN_EXE_many_connections"))
        .arg(QUOTA.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map(Server)
        .unwrap();
    let mut stdout = BufReader::new(server.0.stdout.take().unwrap());
    let address = finishes("the server prints its address", move || {
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        address.trim().to_owned()
    });

    let mut connecting = JoinSet::new();
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(500));
    for _ in 0..CONNECTIONS {
        let (address, turns) = (address.clone(), std::sync::Arc::clone(&turns));
        connecting.spawn(async move {
            // Stays below the number of connections that the system queues before they are
            // accepted.
            let _turn = turns.acquire().await.unwrap();
            let mut connection = TcpStream::connect(address).await.unwrap();
            let status = ask(&mut connection).await.unwrap();
            (connection, status)
        });
    }
    let connected = timeout(PATIENCE, connecting.join_all())
        .await
        .expect("waited in vain for all connections");
    assert!(connected.iter().all(|(_, status)| *status == 200));

    // All connections are open, and each sends a second request at the same time.
    let mut asking = JoinSet::new();
    for (mut connection, _) in connected {
        asking.spawn(async move {
            let status = ask(&mut connection).await.unwrap();
            (connection, status)
        });
    }
    let asked = timeout(PATIENCE, asking.join_all())
        .await
        .expect("waited in vain for all replies");
    let admitted = asked.iter().filter(|(_, status)| *status == 200).count();
    let denied = asked.iter().filter(|(_, status)| *status == 429).count();
    assert_eq!(
        (admitted, denied),
        (QUOTA - CONNECTIONS, 2 * CONNECTIONS - QUOTA)
    );
}
