//! Throttles of one function are one script call on a Redis node. Across the slots of a cluster, units of a refused
//! call are given back.
#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::time::Duration;

use premier::{
    BoxFuture, Config, Decision, Error, Handler, OnBackendError, RedisHandler, Request, throttle,
};
use premier_tests::redis::{Cluster, Server};

/// Two servers, a cluster, and a server that is gone. The name of a limit says which of them keeps it.
#[derive(Debug)]
struct Stores {
    node: RedisHandler,
    counted: RedisHandler,
    cluster: RedisHandler,
    gone: RedisHandler,
}

impl Stores {
    fn of(&self, request: &Request<'_>) -> &RedisHandler {
        let name = request.key.prefix();
        match () {
            () if name.contains(":cluster.") => &self.cluster,
            () if name.contains(":counted.") => &self.counted,
            () if name.contains(":gone.") => &self.gone,
            () => &self.node,
        }
    }
}

impl Handler for Stores {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.of(request).handle(request)
    }

    fn handle_async<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Decision, Error>> {
        self.of(&request).handle_async(request)
    }

    fn take_all(&self, requests: &[Request<'_>]) -> Result<Vec<Decision>, Error> {
        self.of(&requests[0]).take_all(requests)
    }

    fn take_all_async<'a>(
        &'a self,
        requests: &'a [Request<'a>],
    ) -> BoxFuture<'a, Result<Vec<Decision>, Error>> {
        self.of(&requests[0]).take_all_async(requests)
    }

    fn handle_detached(&self, request: &Request<'_>) {
        self.of(request).handle_detached(request);
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        self.node.clear(keyspace)
    }
}

/// The servers of this process, which keep its limits.
struct Servers {
    node: Server,
    /// A server for the test that counts its script calls.
    counted: Server,
    cluster: Cluster,
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let servers = Servers {
            node: Server::start(),
            counted: Server::start(),
            cluster: Cluster::start(),
        };
        let gone = format!("redis://127.0.0.1:{}/", premier_tests::ports::free_port());
        let stores = Stores {
            node: servers.node.handler(),
            counted: servers.counted.handler(),
            cluster: servers.cluster.handler(),
            gone: RedisHandler::connect(gone).unwrap(),
        };
        let config = Config::new(stores).on_backend_error(OnBackendError::Memory);
        premier::config(config).unwrap();
        servers
    })
}

fn is_refusal<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::QuotaExceeded { .. }))
}

#[test]
fn a_refused_call_takes_nothing_from_a_node() {
    #[throttle(name = "node.own", algo = "token_bucket", rate = "2/h", key = user)]
    #[throttle(name = "node.all", rate = "3/h")]
    fn send(user: &str) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let node = &servers().node;
    for user in ["alice", "alice", "bob"] {
        send(user).unwrap();
    }
    assert!(is_refusal(&send("carol")));
    assert!(is_refusal(&send("alice")));
    let keys = node.keys();
    assert!(
        keys.iter()
            .any(|key| key.contains("node.own") && key.ends_with(":bob")),
        "{keys:?}"
    );
    assert!(!keys.iter().any(|key| key.ends_with(":carol")), "{keys:?}");
}

#[test]
fn a_call_is_one_script_on_a_node() {
    #[throttle(name = "counted.own", algo = "sliding_log", rate = "1/h", key = user)]
    #[throttle(name = "counted.all", algo = "sliding_window", rate = "1/h")]
    #[throttle(name = "counted.paced", algo = "leaky_bucket", rate = "1/h")]
    fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let server = &servers().counted;
    let scripts = || {
        let stats = server.command(&["INFO", "commandstats"]);
        let calls = |line: &str| -> Option<u64> {
            line.split_once("calls=")?.1.split_once(',')?.0.parse().ok()
        };
        let scripts = stats
            .lines()
            .filter(|line| line.starts_with("cmdstat_evalsha"));
        scripts.filter_map(calls).sum::<u64>()
    };
    // The first call also makes the script known.
    send(1).unwrap();
    let before = scripts();
    assert!(is_refusal(&send(2)));
    send(0).unwrap_err();
    assert_eq!(scripts() - before, 2);
}

#[tokio::test]
async fn an_async_call_takes_nothing_when_it_is_refused() {
    #[throttle(name = "async.own", rate = "1/h", key = user)]
    #[throttle(name = "async.all", rate = "1/h")]
    async fn send(user: &str) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let node = &servers().node;
    send("alice").await.unwrap();
    assert!(is_refusal(&send("dave").await));
    assert!(!node.keys().iter().any(|key| key.ends_with(":dave")));
}

#[test]
fn a_refused_call_takes_nothing_across_the_slots_of_a_cluster() {
    #[throttle(name = "cluster.own", rate = "1/h", key = user)]
    #[throttle(name = "cluster.all", rate = "2/h")]
    fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let cluster = &servers().cluster;
    send(1).unwrap();
    assert!(is_refusal(&send(1)));
    send(2).unwrap();
    assert!(is_refusal(&send(3)));
    let mut keys: Vec<String> = cluster.nodes.iter().flat_map(Server::keys).collect();
    // Other tests use the cluster, too.
    keys.retain(|key| key.contains("cluster.own"));
    assert!(keys.iter().any(|key| key.ends_with(":2")), "{keys:?}");
    assert!(!keys.iter().any(|key| key.ends_with(":3")), "{keys:?}");
}

#[tokio::test]
async fn an_async_call_takes_nothing_across_slots_when_it_is_refused() {
    #[throttle(name = "cluster.async_own", rate = "1/h", key = user)]
    #[throttle(name = "cluster.async_all", rate = "1/h")]
    async fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    servers();
    send(1).await.unwrap();
    for user in 10..20 {
        assert!(is_refusal(&send(user).await));
    }
}

/// Threads race for the units, so some have taken from one slot before the other denies.
#[test]
fn units_that_a_race_takes_in_vain_are_given_back_across_slots() {
    #[throttle(name = "cluster.race_user", rate = "1/h", key = user)]
    #[throttle(name = "cluster.race_all", rate = "5/h")]
    fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let cluster = &servers().cluster;
    let sent: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|user| scope.spawn(move || send(user).is_ok().then_some(user)))
            .collect();
        let sent = threads.into_iter().map(|thread| thread.join().unwrap());
        sent.flatten().collect()
    });
    assert!(sent.len() <= 5, "{sent:?}");
    premier_tests::waits::eventually("only admitted calls have spent", || {
        let keys: Vec<String> = cluster.nodes.iter().flat_map(Server::keys).collect();
        let spent = |user: u32| {
            let end = format!("race_user:fixed_window:{user}");
            keys.iter().any(|key| key.ends_with(&end))
        };
        (0..8).all(|user| spent(user) == sent.contains(&user))
    });
}

#[test]
fn without_a_server_the_memory_of_the_process_decides_as_one() {
    #[throttle(name = "gone.own", rate = "1/h", key = user)]
    #[throttle(name = "gone.all", rate = "2/h")]
    fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    servers();
    send(1).unwrap();
    assert!(is_refusal(&send(1)));
    send(2).unwrap();
    assert!(is_refusal(&send(3)));
}

#[tokio::test]
async fn a_call_that_waits_gives_the_rest_back_when_it_is_dropped() {
    #[throttle(name = "drop.all", rate = "2/h")]
    #[throttle(name = "drop.paced", rate = "1/h", wait = "2h")]
    async fn send() -> Result<(), Error> {
        Ok(())
    }
    let node = &servers().node;
    send().await.unwrap();
    let spent = || {
        let keys = node.keys();
        let key = keys.iter().find(|key| key.contains("drop.all")).unwrap();
        node.command(&["GET", key])
    };
    let waited = tokio::time::timeout(Duration::from_millis(300), send()).await;
    assert!(waited.is_err(), "it waits for an hour");
    premier_tests::waits::eventually("one unit is spent", || spent().trim_end().ends_with(":1"));
}
