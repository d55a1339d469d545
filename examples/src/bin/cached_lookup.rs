//! A slow lookup behind `#[cache]`: hits, single flight, invalidation and stale values.

use std::thread;
use std::time::{Duration, Instant};

use premier::cache;

/// Rendering a page takes 200 ms. Errors are not cached.
#[cache(name = "page", ttl = "400ms", stale = "5s", capacity = 1_000)]
fn page(path: &'static str) -> Result<String, String> {
    thread::sleep(Duration::from_millis(200));
    if path == "/missing" {
        return Err("404".into());
    }
    Ok(format!("<h1>{path}</h1>"))
}

fn timed(label: &str, path: &'static str) {
    let start = Instant::now();
    let result = page(path);
    println!(
        "{label:<42}{:>4} ms  {result:?}",
        start.elapsed().as_millis()
    );
}

fn main() -> Result<(), premier::Error> {
    timed("the first call computes the page", "/home");
    timed("the second call finds it in the cache", "/home");
    timed("an error is returned", "/missing");
    timed("and computed again, not cached", "/missing");

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
    timed("an invalidated page is computed again", "/home");

    thread::sleep(Duration::from_millis(450));
    let refresh = thread::spawn(|| timed("after its ttl, the first call computes it", "/home"));
    thread::sleep(Duration::from_millis(50));
    timed("while other calls get the stale page", "/home");
    refresh.join().expect("no panic");
    Ok(())
}
