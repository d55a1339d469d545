//! The resident bytes of a key, with a million keys. Each measurement has a process of its own, so
//! that it cannot reuse memory that another one has freed.

use std::error::Error;
use std::num::NonZeroU32;
use std::process::Command;
use std::{env, fs};

use governor::{Quota, RateLimiter};
use premier::{Limit, Throttle};

const KEYS: u64 = 1_000_000;

/// The resident memory of this process, in bytes.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

fn quota() -> Quota {
    Quota::per_hour(NonZeroU32::new(10).expect("not zero"))
}

fn throttle() -> Throttle {
    Throttle::new(
        "bytes",
        Limit::token_bucket(10, std::time::Duration::from_secs(3_600)),
    )
}

fn short(key: u64) -> String {
    format!("user-{key:08}")
}

/// A text as long as a UUID.
fn long(key: u64) -> String {
    format!("{key:08x}-0000-4000-8000-{key:012x}")
}

/// The kinds of keys, with premier and with governor.
fn fill(subject: &str) -> Result<(), Box<dyn Error>> {
    let before = resident()?;
    let text = |key_of: fn(u64) -> String| -> Result<u64, Box<dyn Error>> {
        let throttle = throttle();
        for key in 0..KEYS {
            throttle.acquire(&key_of(key))?;
        }
        resident()
    };
    let peer_text = |key_of: fn(u64) -> String| -> Result<u64, Box<dyn Error>> {
        let limiter = RateLimiter::keyed(quota());
        for key in 0..KEYS {
            // The caller keeps its key and lends it; the store makes a copy.
            let _ = limiter.check_key(&key_of(key));
        }
        resident()
    };
    let after = match subject {
        "short premier" => text(short)?,
        "short governor" => peer_text(short)?,
        "long premier" => text(long)?,
        "long governor" => peer_text(long)?,
        "u64 premier" => {
            let throttle = throttle();
            for key in 0..KEYS {
                throttle.acquire(&key)?;
            }
            resident()?
        }
        "u64 governor" => {
            let limiter = RateLimiter::keyed(quota());
            for key in 0..KEYS {
                let _ = limiter.check_key(&key);
            }
            resident()?
        }
        other => return Err(format!("nothing is called {other:?}").into()),
    };
    println!("{}", (after - before) / KEYS);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(subject) = env::var("PREMIER_MEMORY_OF") {
        return fill(&subject);
    }
    println!("| a million keys | premier, bytes a key | governor | ratio | wanted |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (kind, what) in [
        ("short", "texts of 13 bytes"),
        ("long", "texts of 36 bytes"),
        ("u64", "`u64`"),
    ] {
        let bytes = |who: &str| -> Result<f64, Box<dyn Error>> {
            let output = Command::new(env::current_exe()?)
                .env("PREMIER_MEMORY_OF", format!("{kind} {who}"))
                .output()?;
            Ok(String::from_utf8(output.stdout)?.trim().parse()?)
        };
        let (premier, governor) = (bytes("premier")?, bytes("governor")?);
        println!(
            "| {what} | {premier} | {governor} | {:.2} | ≤ 1.00 |",
            premier / governor
        );
    }
    Ok(())
}
