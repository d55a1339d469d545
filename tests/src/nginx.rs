//! A real nginx for tests: on a free port, without root, and killed when it is dropped.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ports::free_port;
use crate::redis::kill_after_this_process;
use crate::waits::eventually;

/// An nginx process with one server.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    _directory: TempDir,
    child: Child,
}

impl Nginx {
    /// Starts a server for HTTP/1.1 with these directives, such as `location / { proxy_pass …; }`. The zone
    /// `responses` may be used as a cache.
    ///
    /// # Panics
    /// When nginx is not installed or does not accept the directives.
    #[must_use]
    pub fn start(directives: &str) -> Self {
        Self::listen("", directives)
    }

    /// Starts a server as [`Nginx::start`] does, for HTTP/2 without TLS.
    ///
    /// # Panics
    /// As for [`Nginx::start`].
    #[must_use]
    pub fn http2(directives: &str) -> Self {
        Self::listen(" http2", directives)
    }

    fn listen(options: &str, directives: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory for nginx");
        let path = directory.path();
        let port = free_port();
        // All in one process, which is killed without leaving others behind. Paths are relative to the
        // directory.
        let configuration = format!(
            "daemon off;
            master_process off;
            pid pid;
            error_log log;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path body;
                fastcgi_temp_path fastcgi;
                proxy_temp_path proxy;
                scgi_temp_path scgi;
                uwsgi_temp_path uwsgi;
                proxy_cache_path cache keys_zone=responses:1m;
                server {{
                    listen 127.0.0.1:{port}{options};
                    {directives}
                }}
            }}"
        );
        fs::write(path.join("nginx.conf"), configuration).expect("a configuration");
        // Debian installs it where only root looks.
        let programs = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("nginx")
            .env("PATH", format!("{programs}:/usr/sbin"))
            .arg("-p")
            .arg(path)
            .args(["-c", "nginx.conf", "-e", "log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx must be installed: ./tests/run does that");
        kill_after_this_process(child.id());
        eventually("nginx listens", || {
            if let Ok(Some(status)) = child.try_wait() {
                let log = fs::read_to_string(path.join("log")).unwrap_or_default();
                panic!("nginx ended with {status}: {log}");
            }
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            port,
            _directory: directory,
            child,
        }
    }

    /// The URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
