//! A quota for each user: a keymaker says, from the arguments, whose quota a call takes from.

use premier::{Error, throttle};

struct Request {
    user: String,
    path: String,
}

/// A closure gets a reference to every argument, in order. Two calls per minute for each user.
#[throttle(quota = 2, duration = "1m", keymaker = |request| request.user.clone())]
fn search(request: &Request) -> Result<String, Error> {
    Ok(format!("results for {}", request.path))
}

/// A function does it too, and can be shared and tested. One call per minute for each user and path.
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
        tell(user, "/books", search);
    }
    println!("export: 1 call per minute for each user and path");
    for (user, path) in [
        ("alice", "/a"),
        ("alice", "/a"),
        ("alice", "/b"),
        ("bob", "/a"),
    ] {
        tell(user, path, export);
    }
}

fn tell(user: &str, path: &str, call: fn(&Request) -> Result<String, Error>) {
    let request = Request {
        user: user.into(),
        path: path.into(),
    };
    match call(&request) {
        Ok(answer) => println!("  {user}: {answer}"),
        Err(error) => println!("  {user}: {error}"),
    }
}
