//! An async API client that many tasks share. With `wait`, each task waits for its turn, first come,
//! first served, without blocking a thread.

use std::time::Instant;

use premier::{Error, throttle};

struct Client {
    base: &'static str,
}

impl Client {
    /// The API allows 5 requests per 250 ms. All clients in this process share this limit.
    #[throttle(algo = "token_bucket", quota = 5, duration = "250ms", wait)]
    async fn get(&self, path: &str) -> Result<String, Error> {
        Ok(format!("200 OK {}{path}", self.base))
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    println!("20 tasks call at once; 5 are admitted at once, then one every 50 ms:");
    let start = Instant::now();
    let tasks: Vec<_> = (1..=20)
        .map(|task| {
            tokio::spawn(async move {
                let client = Client {
                    base: "https://api.test",
                };
                let answer = client.get(&format!("/items/{task}")).await?;
                println!("  {:>3} ms  {answer}", start.elapsed().as_millis());
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task panicked")?;
    }
    println!("All are done after {} ms.", start.elapsed().as_millis());
    Ok(())
}
