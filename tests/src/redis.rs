//! Real Redis servers for tests: each on a free port, and killed when it is dropped.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A `redis-server` process.
#[derive(Debug)]
pub struct Server {
    port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts an empty server without persistence.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further arguments.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn with(arguments: &[&str]) -> Self {
        Self::on(free_port(), arguments)
    }

    /// Starts a server on this port.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn on(port: u16, arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("premier-redis-{}-{count}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for the server");
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut server = Self {
            port,
            directory,
            arguments,
            child: None,
        };
        server.restart();
        server
    }

    /// Kills the server if it runs, and starts it again on the same port.
    ///
    /// # Panics
    /// When the server does not start.
    pub fn restart(&mut self) {
        self.kill();
        let log = self.directory.join("log");
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--enable-debug-command", "yes", "--protected-mode", "no"])
            .arg("--dir")
            .arg(&self.directory)
            .arg("--logfile")
            .arg(&log)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed: ./tests/run does that");
        kill_after_this_process(child.id());
        self.child = Some(child);
        let started = Instant::now();
        while !matches!(self.try_command(&["PING"]), Some(reply) if reply.contains("PONG") || reply.contains("NOAUTH"))
        {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the server did not start: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the process without a shutdown, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal to the process, such as `STOP` or `CONT`.
    ///
    /// # Panics
    /// When the server does not run.
    pub fn signal(&self, name: &str) {
        let pid = self
            .child
            .as_ref()
            .expect("a running server")
            .id()
            .to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// The port on the loopback interface.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The working directory.
    #[must_use]
    pub const fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// The URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The raw reply to a command.
    ///
    /// # Panics
    /// When no reply comes within five seconds.
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words)
            .unwrap_or_else(|| panic!("no reply to {words:?}"))
    }

    /// The raw reply to a command, if there is one within five seconds.
    #[must_use]
    pub fn try_command(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            let _ = write!(request, "${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = Vec::new();
        let mut part = [0; 16 * 1024];
        while reply_end(&reply, 0).is_none() {
            match stream.read(&mut part).ok()? {
                0 => return None,
                read => reply.extend_from_slice(&part[..read]),
            }
        }
        Some(String::from_utf8_lossy(&reply).into_owned())
    }

    /// Every key in the database.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.command(&["KEYS", "*"])
            .lines()
            .filter(|line| !line.starts_with(['*', '$']))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Asserts that every key has a TTL.
    ///
    /// # Panics
    /// When a key has none.
    pub fn assert_all_expire(&self) {
        for key in self.keys() {
            let ttl = self.command(&["PTTL", &key]);
            if ttl.starts_with("-MOVED") {
                // Replicas redirect to their master, which is checked as well.
                continue;
            }
            let ttl: i64 = ttl
                .trim_start_matches(':')
                .trim()
                .parse()
                .expect("a number");
            // -2 means that the key has expired meanwhile.
            assert!(ttl != -1, "{key} has no TTL");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A cluster of three masters with one replica each.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes, masters first.
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Starts six nodes and waits until they have formed a cluster.
    ///
    /// # Panics
    /// When that takes longer than 30 s.
    #[must_use]
    pub fn start() -> Self {
        let nodes: Vec<Server> = (0..6)
            .map(|_| {
                // A node also listens on the cluster bus, whose port is 10,000 higher.
                let port = std::iter::repeat_with(free_port)
                    .find(|port| {
                        *port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok()
                    })
                    .unwrap_or_default();
                Server::on(
                    port,
                    &["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"],
                )
            })
            .collect();
        let cluster = Self { nodes };
        let addresses: Vec<String> = cluster
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli comes with redis-server");
        assert!(
            created.status.success(),
            "{}",
            String::from_utf8_lossy(&created.stdout)
        );
        let started = Instant::now();
        while !cluster.nodes.iter().all(|node| {
            node.command(&["CLUSTER", "INFO"])
                .contains("cluster_state:ok")
                && node
                    .command(&["CLUSTER", "SLOTS"])
                    .matches("127.0.0.1")
                    .count()
                    >= 6
        }) {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the cluster did not form"
            );
            thread::sleep(Duration::from_millis(50));
        }
        cluster
    }

    /// The addresses of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }
}

/// Kills a process once this one is gone: statics are not dropped, nor is anything when a test aborts.
pub(crate) fn kill_after_this_process(process: u32) {
    let script = "(while kill -0 $1 && kill -0 $2; do sleep 1; done; kill -9 $2) &";
    let started = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([std::process::id(), process].map(|id| id.to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(started.is_ok_and(|status| status.success()), "a shell");
}

/// The end of the reply that begins at `start`, or `None` while the reply is incomplete.
pub(crate) fn reply_end(reply: &[u8], start: usize) -> Option<usize> {
    let rest = reply.get(start..)?;
    let line = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let count = || str::from_utf8(&rest[1..line]).ok()?.parse::<i64>().ok();
    let after = start + line + 2;
    match rest.first()? {
        b'$' => match usize::try_from(count()?) {
            Ok(length) => (reply.len() >= after + length + 2).then_some(after + length + 2),
            Err(_) => Some(after),
        },
        b'*' => (0..count()?.max(0)).try_fold(after, |end, _| reply_end(reply, end)),
        _ => Some(after),
    }
}

/// A port that was free at the time of the call.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A master with a replica, watched by three sentinels.
#[derive(Debug)]
pub struct Sentinels {
    /// The first master, then its replica.
    pub data: [Server; 2],
    /// The sentinels that watch them.
    pub sentinels: Vec<Server>,
}

impl Sentinels {
    /// The name of the watched service.
    pub const SERVICE: &'static str = "limits";

    /// Starts all five and waits until the sentinels know one another and the replica.
    ///
    /// # Panics
    /// When that takes longer than 30 s.
    #[must_use]
    pub fn start() -> Self {
        let master = Server::start();
        let port = master.port.to_string();
        let replica = Server::with(&["--replicaof", "127.0.0.1", &port]);
        let sentinels: Vec<Server> = (0..3)
            .map(|_| {
                let sentinel = Server::with(&[]);
                let configuration = format!(
                    "port {}\ndir {}\nsentinel monitor {} 127.0.0.1 {port} 2\n\
                     sentinel down-after-milliseconds {} 500\n\
                     sentinel failover-timeout {} 3000\n",
                    sentinel.port,
                    sentinel.directory.display(),
                    Self::SERVICE,
                    Self::SERVICE,
                    Self::SERVICE
                );
                sentinel.become_sentinel(&configuration)
            })
            .collect();
        let started = Instant::now();
        while !sentinels.iter().all(|sentinel| {
            let state = sentinel.command(&["SENTINEL", "MASTER", Self::SERVICE]);
            let field = |name: &str| {
                let mut lines = state.lines().skip_while(|line| *line != name);
                lines
                    .nth(2)
                    .and_then(|count| count.parse::<u32>().ok())
                    .unwrap_or_default()
            };
            field("num-slaves") >= 1 && field("num-other-sentinels") >= 2
        }) {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the sentinels did not meet"
            );
            thread::sleep(Duration::from_millis(50));
        }
        Self {
            data: [master, replica],
            sentinels,
        }
    }

    /// The addresses of the sentinels.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::url).collect()
    }
}

impl Server {
    /// Restarts the server as a sentinel with this configuration.
    fn become_sentinel(mut self, configuration: &str) -> Self {
        self.kill();
        let path = self.directory.join("sentinel.conf");
        fs::write(&path, configuration).expect("the configuration of a sentinel");
        let child = Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed: ./tests/run does that");
        kill_after_this_process(child.id());
        self.child = Some(child);
        let started = Instant::now();
        while !self
            .try_command(&["PING"])
            .is_some_and(|reply| reply.contains("PONG"))
        {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the sentinel did not start"
            );
            thread::sleep(Duration::from_millis(10));
        }
        self
    }
}
