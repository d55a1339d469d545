//! A slow lookup behind `#[cache]`: hits, single flight, invalidation and values past their time.

use std::thread;
use std::time::{Duration, Instant};

use premier::cache;

/// A page takes 200 ms to make. Errors are not kept.
#[cache(name = "page", ttl = "400ms", stale = "5s", capacity = 1_000)]
fn page(path: &'static str) -> Result<String, String> {
    thread::sleep(Duration::from_millis(200));
    if path == "/missing" {
        return Err("404".into());
    }
    Ok(format!("<h1>{path}</h1>"))
}

fn timed(what: &str, path: &'static str) {
    let start = Instant::now();
    let result = page(path);
    println!(
        "{what:<42}{:>4} ms  {result:?}",
        start.elapsed().as_millis()
    );
}

fn main() -> Result<(), premier::Error> {
    timed("the first call computes", "/home");
    timed("the next one finds it", "/home");
    timed("an error is told", "/missing");
    timed("and not kept", "/missing");

    let start = Instant::now();
    let threads: Vec<_> = (0..100).map(|_| thread::spawn(|| page("/news"))).collect();
    for thread in threads {
        thread.join().expect("no panic").expect("a page");
    }
    println!(
        "{:<42}{:>4} ms",
        "a hundred threads share one computation",
        start.elapsed().as_millis()
    );

    cache::invalidate("page", "/home")?;
    timed("what was invalidated is computed anew", "/home");

    thread::sleep(Duration::from_millis(450));
    let renews = thread::spawn(|| timed("past its time, the first to ask renews it", "/home"));
    thread::sleep(Duration::from_millis(50));
    timed("while all others have the old value", "/home");
    renews.join().expect("no panic");
    Ok(())
}
