//! Connections by TLS, to one server and to a cluster.

use premier::{Handler, Limit, RedisHandler, Throttle};
use premier_tests::ports::free_port;
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, eventually};
use tempfile::TempDir;

use super::SECOND;

/// Connects by `rediss://` to a server with a self-signed certificate.
#[test]
fn a_tls_connection_checks_the_certificate() {
    let (_directory, file) = certificate();
    let port = free_port();
    let server = start(port, &file, &["--tls-auth-clients", "no"]);
    let url = format!("rediss://localhost:{port}/");
    let trusted = RedisHandler::builder(&url)
        .timeout(LONGEST)
        .root_certificate(std::fs::read(file("certificate")).unwrap())
        .build()
        .unwrap();
    trusted.ping().unwrap();
    let limit = Limit::fixed_window(1, 60 * SECOND);
    assert!(
        Throttle::new("tls", limit)
            .with_config(trusted)
            .check("k")
            .unwrap()
            .allowed
    );
    assert_eq!(server.keys().len(), 1);
    assert!(
        RedisHandler::connect(&url).unwrap().ping().is_err(),
        "its certificate is not trusted"
    );

    // `clear` connects to each node of a cluster by TLS too.
    let port = free_port();
    let options = [
        "--tls-auth-clients",
        "no",
        "--cluster-enabled",
        "yes",
        "--tls-cluster",
        "yes",
        "--cluster-announce-ip",
        "127.0.0.1",
    ];
    let node = start(port, &file, &options);
    let slots: Vec<String> = (0..16_384).map(|slot: u32| slot.to_string()).collect();
    let mut add = vec!["CLUSTER", "ADDSLOTS"];
    add.extend(slots.iter().map(String::as_str));
    node.command(&add);
    eventually("the cluster is up", || {
        node.command(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
    });
    let cluster = RedisHandler::cluster([format!("rediss://127.0.0.1:{port}/")])
        .timeout(LONGEST)
        .root_certificate(std::fs::read(file("certificate")).unwrap())
        .build()
        .unwrap();
    let throttle = Throttle::new("tls", limit).with_config(cluster.clone());
    assert!(throttle.check("k").unwrap().allowed);
    cluster.clear("premier").unwrap();
    assert!(node.keys().is_empty(), "{:?}", node.keys());
}

/// Connects to a server that asks clients for a certificate, as servers do by default.
#[test]
fn a_server_may_ask_for_a_client_certificate() {
    let (_directory, file) = certificate();
    let port = free_port();
    let server = start(port, &file, &["--tls-auth-clients", "yes"]);
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let builder = || {
        RedisHandler::builder(format!("rediss://localhost:{port}/"))
            .root_certificate(read("certificate"))
            .timeout(LONGEST)
    };
    assert!(builder().build().unwrap().ping().is_err());
    let known = builder().client_certificate(read("certificate"), read("key"));
    assert!(!format!("{known:?}").contains("PRIVATE"));
    let known = known.build().unwrap();
    known.ping().unwrap();
    let limit = Limit::fixed_window(1, 60 * SECOND);
    let throttle = Throttle::new("tls", limit).with_config(known);
    assert!(throttle.check("k").unwrap().allowed);
    assert_eq!(server.keys().len(), 1);

    let swapped = builder().client_certificate(read("key"), read("certificate"));
    let error = swapped.build().unwrap_err().to_string();
    assert!(error.contains("client certificate"), "{error}");
}

/// Starts a server that speaks TLS at a port, with more options.
fn start(port: u16, file: &impl Fn(&str) -> String, more: &[&str]) -> Server {
    let (port, certificate, key) = (port.to_string(), file("certificate"), file("key"));
    let mut options = vec!["--tls-port", &port];
    options.extend(["--tls-cert-file", &certificate, "--tls-key-file", &key]);
    options.extend(["--tls-ca-cert-file", &certificate]);
    options.extend(more);
    Server::with(&options)
}

/// A self-signed certificate for this computer in a directory of its own, and the paths of its files.
fn certificate() -> (TempDir, impl Fn(&str) -> String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let file = move |name: &str| path.join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", &file("key"), "-out", &file("certificate")])
        .output()
        .expect("openssl must be installed: ./tests/run does that");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    (directory, file)
}
