//! The dashboard of the example, in a real browser.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use clap::Parser;
use premier_tests::waits::LONGEST;
use reqwest::Client;
use web_api::Options;

/// The screenshot, kept in the build directory for people to look at.
fn artefact() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.png")
}

/// Runs Debian's Chromium with a fresh profile and without background network traffic.
fn chromium(arguments: &[&str]) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args([
            "120",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
            "--enable-logging=stderr",
            // The page polls once a second, so this covers several polls.
            "--virtual-time-budget=5000",
            "--timeout=60000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .output()
        .expect("timeout is a part of coreutils");
    assert!(
        output.status.success(),
        "status 124: waited in vain for chromium; status 127: it is not installed: {output:?}"
    );
    output
}

/// A client whose requests have a limit of time; the error names the URL.
fn client() -> Client {
    Client::builder().timeout(LONGEST).build().unwrap()
}

/// The messages in the console, from the page or from the browser.
fn console(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .map(str::to_owned)
        .collect()
}

/// The totals of a limit as the page shows them.
fn totals(page: &str, limit: &str) -> [u64; 4] {
    let section = page
        .split("<section")
        .find(|section| section.contains(&format!("<h2>{limit}</h2>")))
        .unwrap_or_else(|| panic!("no {limit} in {page}"));
    ["admitted", "denied", "shadow_denied", "failed"].map(|total| {
        let cell = section
            .split(&format!("data-total=\"{total}\">"))
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .unwrap_or_else(|| panic!("no {total} in {section}"));
        cell.parse().unwrap_or_else(|_| panic!("{total}: {cell:?}"))
    })
}

/// The totals of a limit as the Prometheus endpoint reports them.
fn exported(metrics: &str, limit: &str) -> [u64; 4] {
    ["admitted", "denied", "shadow_denied", "error"].map(|decision| {
        metrics
            .lines()
            .find(|line| {
                line.starts_with("premier_decisions_total{")
                    && line.contains(&format!("function=\"{limit}\""))
                    && line.contains(&format!("decision=\"{decision}\""))
            })
            .and_then(|line| line.rsplit(' ').next())
            .map_or(0, |count| count.parse().unwrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_counted_decisions_and_logs_nothing() {
    let options = Options::parse_from(["web_api", "--denied-keys", "5"]);
    let app = web_api::app(&options).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });

    let client = client();
    for _ in 0..25 {
        client.get(format!("{url}/quote")).send().await.unwrap();
    }
    for year in 0..5 {
        client
            .get(format!("{url}/reports/{year}"))
            .send()
            .await
            .unwrap();
        client.get(format!("{url}/export")).send().await.unwrap();
        let wrong = client
            .post(format!("{url}/login"))
            .json(&serde_json::json!({"password": "x"}));
        wrong.send().await.unwrap();
        // This key is markup unless the page writes it as text.
        let search = client.get(format!("{url}/search?deep=true&q=x"));
        search
            .header("x-user", "<img src=x onerror=alert(1)>")
            .send()
            .await
            .unwrap();
    }
    let metrics = client.get(format!("{url}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();

    // Traffic for the page to draw, on a limit whose totals are not compared.
    let busy = tokio::spawn({
        let (client, url) = (client.clone(), format!("{url}/search?q=1"));
        async move {
            loop {
                client.get(&url).send().await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let page = format!("{url}/premier");
    let (dumped, pictured) = tokio::task::spawn_blocking(move || {
        let picture = format!("--screenshot={}", artefact().display());
        (
            chromium(&["--dump-dom", &page]),
            chromium(&[&picture, &page]),
        )
    })
    .await
    .unwrap();
    busy.abort();

    for output in [&dumped, &pictured] {
        assert_eq!(console(output), Vec::<String>::new());
    }
    let shown = String::from_utf8(dumped.stdout).unwrap();
    for limit in [
        "per address",
        "failed log-ins",
        "reports, tried out",
        "web_api:export",
    ] {
        let totals = totals(&shown, limit);
        assert_eq!(totals, exported(&metrics, limit), "{limit}");
        assert!(totals.iter().sum::<u64>() >= 5, "{limit}: {totals:?}");
    }
    assert_eq!(totals(&shown, "reports, tried out"), [2, 0, 3, 0]);
    assert_eq!(totals(&shown, "web_api:export"), [2, 3, 0, 0]);
    assert!(
        shown.contains("127.0.0.1 ("),
        "denied keys are shown to whom asks for them"
    );
    assert!(
        shown.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "{shown}"
    );
    assert!(shown.contains(">live<"), "{shown}");
    // The page has drawn a curve.
    assert!(shown.contains("d=\"M"), "{shown}");
    let picture = fs::read(artefact()).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000);
}

#[tokio::test]
async fn the_page_is_read_only_and_sends_a_content_security_policy() {
    let app = axum::Router::new().nest("/a/b", premier::dashboard::Dashboard::new().router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/b", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = client();
    for path in ["", "/data", "/dashboard.js", "/dashboard.css", "/icon.svg"] {
        let reply = client.get(format!("{url}{path}")).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        let policy = reply.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"));
        assert_eq!(reply.headers()["x-content-type-options"], "nosniff");
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let refused = client.post(format!("{url}{path}")).send().await.unwrap();
        assert_eq!(refused.status(), 405, "{path}");
    }
    let page = client.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("src=\"/a/b/dashboard.js\""), "{page}");
    assert!(!page.contains("//"), "nothing from elsewhere: {page}");
}
