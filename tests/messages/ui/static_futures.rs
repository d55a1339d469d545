//! The body runs in the returned future, so a future that is `'static` cannot borrow the arguments.
use std::pin::Pin;
use std::sync::Arc;

use premier::{Error, retry, throttle, timeout};

struct Client(Arc<u32>);

impl Client {
    #[timeout(5)]
    fn opaque(&self) -> impl Future<Output = Result<u32, Error>> + Send + use<> {
        let number = self.0.clone();
        async move { Ok(*number) }
    }

    #[throttle(rate = "1/s")]
    fn boxed(&self, n: u32) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
        let number = *self.0 + n;
        Box::pin(async move { Ok(number) })
    }

    #[throttle(rate = "1/s")]
    fn owned(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
        Box::pin(async move { Ok(*self.0) })
    }
}

#[retry]
fn hidden(n: Option<&u32>) -> impl Future<Output = Result<u32, Error>> + 'static {
    let n = n.copied();
    async move { Ok(n.unwrap_or(0)) }
}

#[retry]
fn text(n: &'static str) -> impl Future<Output = Result<usize, Error>> + 'static {
    async move { Ok(n.len()) }
}

fn main() {
    let client = Client(Arc::new(1));
    drop((client.opaque(), client.boxed(1), Arc::new(client).owned()));
    drop((hidden(None), text("")));
}
// 3 mistakes
