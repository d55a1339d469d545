//! What the dashboard's page fetches: the state of everything in the process.

use premier::dashboard::Dashboard;
use premier::{Error, Limit, MemoryHandler, Throttle, cache, circuit_breaker, concurrency};
use premier_tests::waits::within;
use serde_json::{Value, json};
use std::time::Duration;

#[circuit_breaker(failures = 1, open_for = "1h", name = "broken")]
fn broken() -> Result<(), Error> {
    Err(Error::backend("test", "down"))
}

#[circuit_breaker(key = host, name = "by host")]
fn by_host(host: &str) -> Result<(), Error> {
    let _ = host;
    Ok(())
}

#[concurrency(limit = 2, name = "limited")]
async fn limited() -> Result<Value, Error> {
    Ok(data().await)
}

#[cache(name = "remembered")]
fn remembered(key: u32) -> u32 {
    key
}

async fn data() -> Value {
    let app = axum::Router::new().nest("/premier", Dashboard::new().router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/premier/data", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let reply = within("the data comes", reqwest::get(url)).await.unwrap();
    let data = reply.json().await.unwrap();
    server.abort();
    data
}

#[tokio::test]
async fn the_data_has_the_state_of_everything_in_the_process() {
    let memory = MemoryHandler::builder().max_keys(10).build();
    let keyed = Throttle::new("keyed", Limit::fixed_window(1, Duration::from_secs(60)));
    let keyed = keyed.with_config(memory);
    for key in ["alice", "bob"] {
        assert!(keyed.check(key).unwrap().allowed);
    }
    assert!(broken().is_err() && by_host("a").is_ok());
    remembered(1);
    remembered(2);
    let data = limited().await.unwrap();
    let limit = &data["limits"][0];
    assert_eq!(limit["name"], "keyed");
    assert_eq!(
        (&limit["keys"], &limit["max_keys"]),
        (&json!(2), &json!(10))
    );
    assert_eq!(limit["waiting"], 0);
    assert_eq!(
        data["breakers"],
        json!([{"function": "dashboard_data:broken", "state": "open"}, {"function": "dashboard_data:by host", "state": null}])
    );
    assert_eq!(
        data["permits"],
        json!([{"function": "dashboard_data:limited", "limit": 2, "in_use": 1, "waiting": 0}])
    );
    assert_eq!(
        data["caches"],
        json!([{"function": "remembered", "entries": 2}])
    );
    assert_eq!(data["limits_file"], Value::Null);
}
