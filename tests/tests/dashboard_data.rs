//! The addresses of the dashboard, the data of its page, and its colours.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, Uri};
use premier::dashboard::Dashboard;
use premier::{Config, Limit, OnBackendError, Throttle};
use premier_tests::browser::chromium;
use premier_tests::nginx::Nginx;
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, eventually_async};
use reqwest::Client;
use serde_json::Value;

const HOUR: Duration = Duration::from_secs(3_600);

fn client() -> Client {
    Client::builder().timeout(LONGEST).build().unwrap()
}

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn data(url: &str) -> Value {
    let reply = client().get(url).send().await.unwrap();
    serde_json::from_str(&reply.text().await.unwrap()).unwrap()
}

fn limit<'a>(data: &'a Value, name: &str) -> &'a Value {
    let limits = data["limits"].as_array().unwrap();
    let found = limits.iter().find(|limit| limit["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {data}"))
}

#[tokio::test]
async fn the_page_is_read_only_and_sends_a_content_security_policy() {
    let app = Router::new().nest_service("/a/b", Dashboard::new().router());
    let url = format!("http://{}/a/b", serve(app).await);
    for path in ["", "/", "/data"] {
        let reply = client().get(format!("{url}{path}")).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        let policy = reply.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
        assert_eq!(reply.headers()["x-content-type-options"], "nosniff");
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let refused = client().post(format!("{url}{path}")).send().await.unwrap();
        assert_eq!(refused.status(), 405, "{path}");
    }
    let missing = client().get(format!("{url}/other")).send().await.unwrap();
    assert_eq!(missing.status(), 404);
    let page = client()
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(!page.contains("/a/b"), "the page needs no path");
    for attribute in ["src=\"", "href=\"http"] {
        assert!(!page.contains(attribute), "nothing from elsewhere: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_opened_later_shows_what_was_decided_before() {
    let app = Router::new().nest_service("/premier", Dashboard::new().router());
    let url = format!("http://{}/premier/data", serve(app).await);
    let throttle = Throttle::new("history", Limit::fixed_window(2, HOUR));
    let fetch = async || data(&url).await;
    eventually_async("a step has ended", async || {
        fetch().await["sample"].as_u64() > Some(1)
    })
    .await;
    for _ in 0..5 {
        let _ = throttle.check("alice").unwrap();
    }
    eventually_async("the step of the calls has ended", async || {
        let fetched = fetch().await;
        let history = limit(&fetched, "history")["history"]
            .as_array()
            .unwrap()
            .clone();
        let sum = |place: usize| {
            history
                .iter()
                .map(|step| step[place].as_u64().unwrap())
                .sum()
        };
        (sum(0), sum(1)) == (2_u64, 3_u64)
    })
    .await;
    let fetched = fetch().await;
    let throttled = limit(&fetched, "history");
    assert!(throttled["denying_since"].as_u64() >= fetched["started"].as_u64());
    assert_eq!(throttled["denied_keys"][0][0], "al… of 5 characters");
    assert_eq!(throttled["denied_keys"][0][1], 3);
    // A page that knows the steps so far gets the later ones only.
    let (instance, sample) = (fetched["instance"].as_str().unwrap(), &fetched["sample"]);
    let next = data(&format!("{url}?instance={instance}&since={sample}")).await;
    assert!(limit(&next, "history")["history"].as_array().unwrap().len() < 3);
    // A page that knows the steps of another process gets all of them.
    let other = data(&format!("{url}?instance=other&since={sample}")).await;
    assert_eq!(other["since"], 0);
    assert_eq!(other["instance"], instance);
}

/// What the page at an address shows in a browser.
async fn shown(page: String) -> String {
    let dumped = tokio::task::spawn_blocking(move || chromium(&["--dump-dom", &page]));
    String::from_utf8(dumped.await.unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_behind_a_proxy_that_gives_it_another_path() {
    let app = Router::new().nest_service("/premier", Dashboard::new().router());
    let address = serve(app).await;
    let nginx = Nginx::start(&format!(
        "location /ops/limits {{ proxy_pass http://{address}/premier; }}"
    ));
    let throttle = Throttle::new("proxied", Limit::fixed_window(2, HOUR));
    assert!(throttle.check("k").unwrap().allowed);
    for path in ["/ops/limits", "/ops/limits/"] {
        let shown = shown(format!("{}{path}", nginx.url())).await;
        assert!(shown.contains(">live, "), "{path}: {shown}");
        assert!(shown.contains("<h3>proxied</h3>"), "{path}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_since_when_a_store_is_down_and_what_happens_to_calls() {
    let mut server = Server::start();
    let handler = server.handler();
    let config = Config::new(handler).on_backend_error(OnBackendError::Memory);
    let throttle = Throttle::new("down", Limit::fixed_window(2, HOUR)).with_config(config);
    assert!(throttle.check_async("k").await.unwrap().allowed);
    let app = Router::new().nest_service("/premier", Dashboard::new().router());
    let url = format!("http://{}/premier", serve(app).await);
    let store = async || {
        let data = data(&format!("{url}/data")).await;
        let stores = data["stores"].as_array().unwrap().clone();
        stores
            .into_iter()
            .find(|store| store["name"] == "redis")
            .unwrap()
    };
    assert_eq!(store().await["up"], true);
    server.kill();
    assert!(throttle.check_async("k").await.unwrap().allowed);
    eventually_async("the outage is noticed", async || {
        store().await["up"] == false
    })
    .await;
    assert_eq!(store().await["policy"], "memory");
    let shown = shown(url.clone()).await;
    assert!(shown.contains("redis is down since "), "{shown}");
    assert!(
        shown.contains("limits are decided in this process, each process by itself"),
        "{shown}"
    );
}

/// A process that serves the dashboard at its URL. It is killed when it is dropped.
struct Replica {
    process: Child,
    url: String,
}

impl Replica {
    /// Starts one that has made this many calls.
    fn start(calls: u64) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_dashboard_replica"))
            .arg(calls.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut url).unwrap();
        Self {
            url: url.trim_end().to_owned(),
            process,
        }
    }

    /// Its name on the page.
    fn name(&self) -> String {
        format!("process {} on ", self.process.id())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Passes each request on to the next of these servers.
async fn in_turns(servers: Vec<String>) -> String {
    let (client, turn) = (client(), AtomicUsize::new(0));
    let state = Arc::new((client, servers, turn));
    let app = Router::new().fallback(async move |uri: Uri| {
        let (client, servers, turn) = &*state;
        let server = &servers[turn.fetch_add(1, Ordering::Relaxed) % servers.len()];
        let reply = client.get(format!("{server}{uri}")).send().await.unwrap();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = reply.status();
        *response.headers_mut() = reply.headers().clone();
        *response.body_mut() = Body::from(reply.bytes().await.unwrap());
        response
    });
    format!("http://{}", serve(app).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_take_turns_at_one_address_are_shown_apart() {
    let replicas = [Replica::start(5), Replica::start(7)];
    let url = in_turns(replicas.iter().map(|replica| replica.url.clone()).collect()).await;

    // A page that asks for the later steps of one process, and reaches the other one, gets its whole history.
    let first = data(&format!("{url}/data")).await;
    let (instance, sample) = (first["instance"].as_str().unwrap(), &first["sample"]);
    let other = data(&format!("{url}/data?instance={instance}&since={sample}")).await;
    assert_ne!(other["instance"], first["instance"]);
    assert_eq!(other["since"], 0);
    for (process, calls) in [(&first, 5), (&other, 7)] {
        assert_eq!(limit(process, "replicated")["admitted"], calls);
    }

    let shown = shown(url).await;
    assert!(
        shown.contains("2 processes answer at this address; each is shown by itself"),
        "{shown}"
    );
    for replica in &replicas {
        assert!(
            shown.contains(&format!(">{}", replica.name())),
            "there is a button for each: {shown}"
        );
    }
    let heading = shown.split("id=\"instance\">").nth(1).unwrap();
    let calls = match heading.starts_with(&replicas[0].name()) {
        true => 5,
        false => 7,
    };
    let section = shown.split("<h3>replicated</h3>").nth(1).unwrap();
    assert!(
        section.contains(&format!("data-total=\"admitted\">{calls}<")),
        "the totals are those of the process that is shown: {shown}"
    );
    assert!(!section.contains("data-total=\"admitted\">12<"), "{shown}");
}

/// The relative luminance of a colour `#rrggbb`, by WCAG 2.2.
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
        let value = f64::from(value) / 255.0;
        match value <= 0.04045 {
            true => value / 12.92,
            false => ((value + 0.055) / 1.055).powf(2.4),
        }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_text_and_line_has_a_contrast_of_four_and_a_half_in_both_themes() {
    let style = include_str!("../../premier-runtime/src/integrations/dashboard/dashboard.css");
    let themes: Vec<HashMap<&str, &str>> = style
        .split(":root {")
        .skip(1)
        .map(|theme| {
            let theme = theme.split('}').next().unwrap();
            let pairs = theme.split(';').filter_map(|pair| pair.split_once(':'));
            let pairs = pairs.map(|(name, value)| (name.trim(), value.trim()));
            pairs.filter(|(_, value)| value.starts_with('#')).collect()
        })
        .collect();
    assert_eq!(themes.len(), 2);
    for theme in themes {
        for name in ["--text", "--quiet", "--admitted", "--denied"] {
            let contrast = contrast(theme[name], theme["--page"]);
            assert!(contrast >= 4.5, "{name}: {contrast:.2} in {theme:?}");
        }
    }
}
