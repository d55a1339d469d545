//! The dashboard of the example, in a real browser.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use clap::Parser;
use premier_tests::browser::chromium;
use premier_tests::waits::{LONGEST, eventually_async};
use reqwest::Client;
use web_api::Options;

/// A screenshot, kept in the build directory for people to look at.
fn artefact(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The arguments by which the page has light and dark colours.
const LIGHT: &str = "--blink-settings=preferredColorScheme=1";
const DARK: &str = "--blink-settings=preferredColorScheme=0";

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
        .find(|section| section.contains(&format!("<h3>{limit}</h3>")))
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
    // A step takes two seconds, and the browser may be faster.
    eventually_async("two steps have ended", async || {
        let data = client.get(format!("{page}/data")).send().await.unwrap();
        let data: serde_json::Value = serde_json::from_str(&data.text().await.unwrap()).unwrap();
        data["sample"].as_u64() >= Some(2)
    })
    .await;
    let pictures = [
        ("dashboard.png", "--window-size=1200,1600", LIGHT),
        ("dashboard-dark.png", "--window-size=1200,1600", DARK),
        ("dashboard-narrow.png", "--window-size=400,2400", LIGHT),
    ];
    let outputs = tokio::task::spawn_blocking(move || {
        let mut outputs = vec![chromium(&["--dump-dom", &page])];
        for (name, size, theme) in pictures {
            let picture = format!("--screenshot={}", artefact(name).display());
            outputs.push(chromium(&[&picture, size, theme, &page]));
        }
        outputs
    });
    let outputs = outputs.await.unwrap();
    busy.abort();

    for output in &outputs {
        assert_eq!(console(output), Vec::<String>::new());
    }
    let dumped = outputs.into_iter().next().unwrap();
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
    assert!(shown.contains(">live, "), "{shown}");
    // The page has drawn a curve.
    assert!(shown.contains("d=\"M"), "{shown}");
    assert!(
        shown.contains("calls/s") && shown.contains("10 min ago"),
        "{shown}"
    );
    for (name, ..) in pictures {
        let picture = fs::read(artefact(name)).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000);
    }
}
