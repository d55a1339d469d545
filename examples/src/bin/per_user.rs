//! A quota for each user: a keymaker computes the key of a call from its arguments.

use premier::{Error, throttle};

struct Request {
    user: String,
    path: String,
}

/// Two calls per minute for each user. A closure gets a reference to every argument, in order.
#[throttle(quota = 2, duration = "1m", keymaker = |request| request.user.clone())]
fn search(request: &Request) -> Result<String, Error> {
    Ok(format!("results for {}", request.path))
}

/// One call per minute for each user and path. The keymaker may be a function, which can be shared and
/// tested.
#[throttle(quota = 1, duration = "1m", keymaker = user_and_path)]
fn export(request: &Request) -> Result<String, Error> {
    Ok(format!("exported {}", request.path))
}

fn user_and_path(request: &Request) -> String {
    format!("{}:{}", request.user, request.path)
}

fn main() {
    println!("search: 2 calls per minute for each user");
    for user in ["alice", "alice", "alice", "bob"] {
        call(user, "/books", search);
    }
    println!("export: 1 call per minute for each user and path");
    for (user, path) in [
        ("alice", "/a"),
        ("alice", "/a"),
        ("alice", "/b"),
        ("bob", "/a"),
    ] {
        call(user, path, export);
    }
}

fn call(user: &str, path: &str, function: fn(&Request) -> Result<String, Error>) {
    let request = Request {
        user: user.into(),
        path: path.into(),
    };
    match function(&request) {
        Ok(answer) => println!("  {user}: {answer}"),
        Err(error) => println!("  {user}: {error}"),
    }
}
