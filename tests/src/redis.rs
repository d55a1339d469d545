//! Real Redis servers for tests: each on a free port, and killed when it is dropped.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use premier::{RedisBuilder, RedisHandler};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::waits::{LONGEST, eventually};

/// A `redis-server` process.
#[derive(Debug)]
pub struct Server {
    port: u16,
    directory: TempDir,
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
        let mut server = Self {
            port: free_port(),
            directory: tempfile::tempdir().expect("a directory for the server"),
            arguments: arguments.iter().map(ToString::to_string).collect(),
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
        let log = self.directory.path().join("log");
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--enable-debug-command", "yes", "--protected-mode", "no"])
            .arg("--dir")
            .arg(self.directory.path())
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
                started.elapsed() < LONGEST,
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
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The beginning of a handler for the server. Its timeout is longer than a busy machine takes to answer.
    pub fn builder(&self) -> RedisBuilder {
        RedisHandler::builder(self.url()).timeout(LONGEST)
    }

    /// A handler for the server, by [`Server::builder`].
    ///
    /// # Panics
    /// Never, because the address is valid.
    #[must_use]
    pub fn handler(&self) -> RedisHandler {
        self.builder().build().expect("a valid address")
    }

    /// The raw reply to a command.
    ///
    /// # Panics
    /// When no reply comes within [`LONGEST`].
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words)
            .unwrap_or_else(|| panic!("no reply to {words:?}"))
    }

    /// The raw reply to a command, if there is one within [`LONGEST`].
    #[must_use]
    pub fn try_command(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(LONGEST)).ok()?;
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
    }
}

/// How long a node of a cluster does not answer before the others replace it, in milliseconds. A busy machine
/// does not take that long.
const NODE_TIMEOUT: &str = "20000";

/// As [`NODE_TIMEOUT`], while a test waits for a failover.
const SHORT_NODE_TIMEOUT: &str = "1000";

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
        // The shorter the timeout, the sooner they have formed a cluster.
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout"];
        let arguments = [&arguments[..], &[SHORT_NODE_TIMEOUT]].concat();
        let nodes: Vec<Server> = (0..6).map(|_| Server::with(&arguments)).collect();
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
        eventually("the nodes form a cluster", || {
            cluster.nodes.iter().all(|node| {
                node.command(&["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
                    && node
                        .command(&["CLUSTER", "SLOTS"])
                        .matches("127.0.0.1")
                        .count()
                        >= 6
            })
        });
        cluster.set_node_timeout(NODE_TIMEOUT);
        cluster
    }

    fn set_node_timeout(&self, timeout: &str) {
        for node in &self.nodes {
            let set = node.command(&["CONFIG", "SET", "cluster-node-timeout", timeout]);
            assert!(set.contains("OK"), "{set}");
        }
    }

    /// Kills a master, which its replica soon replaces. The replica of a node that is killed otherwise does not
    /// replace it while a test runs.
    pub fn fail_over(&mut self, master: usize) {
        self.set_node_timeout(SHORT_NODE_TIMEOUT);
        self.nodes[master].kill();
    }

    /// The beginning of a handler for the cluster, as [`Server::builder`].
    pub fn builder(&self) -> RedisBuilder {
        RedisHandler::cluster(self.urls()).timeout(LONGEST)
    }

    /// A handler for the cluster, as [`Server::handler`].
    ///
    /// # Panics
    /// Never, because the addresses are valid.
    #[must_use]
    pub fn handler(&self) -> RedisHandler {
        self.builder().build().expect("valid addresses")
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
                     sentinel down-after-milliseconds {} 20000\n\
                     sentinel failover-timeout {} 3000\n",
                    sentinel.port,
                    sentinel.directory().display(),
                    Self::SERVICE,
                    Self::SERVICE,
                    Self::SERVICE
                );
                sentinel.become_sentinel(&configuration)
            })
            .collect();
        eventually("the sentinels meet", || {
            sentinels.iter().all(|sentinel| {
                let state = sentinel.command(&["SENTINEL", "MASTER", Self::SERVICE]);
                let field = |name: &str| {
                    let mut lines = state.lines().skip_while(|line| *line != name);
                    lines
                        .nth(2)
                        .and_then(|count| count.parse::<u32>().ok())
                        .unwrap_or_default()
                };
                field("num-slaves") >= 1 && field("num-other-sentinels") >= 2
            })
        });
        Self {
            data: [master, replica],
            sentinels,
        }
    }

    /// Kills the master, which the replica soon replaces. A busy master is not replaced.
    ///
    /// # Panics
    /// When a sentinel does not know the service.
    pub fn fail_over(&mut self) {
        for sentinel in &self.sentinels {
            let name = "down-after-milliseconds";
            let set = sentinel.command(&["SENTINEL", "SET", Self::SERVICE, name, "500"]);
            assert!(set.contains("OK"), "{set}");
        }
        self.data[0].kill();
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
        let path = self.directory.path().join("sentinel.conf");
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
        eventually("the sentinel starts", || {
            self.try_command(&["PING"])
                .is_some_and(|reply| reply.contains("PONG"))
        });
        self
    }
}
