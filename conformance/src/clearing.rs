//! A keyspace is cleared, and nothing else.

use premier::{Handler, Limit};

use crate::Check;
use crate::case::{Case, MINUTE, each_algorithm};
use crate::threads::block_on;

pub(crate) const CHECKS: [Check; 2] = [
    ("clear removes all keys of a keyspace and no others", clear),
    (
        "clear_async removes all keys of a keyspace and no others",
        clear_async,
    ),
];

fn clear(case: &Case<'_>) -> Result<(), String> {
    check(case, |handler, keyspace| handler.clear(keyspace))
}

fn clear_async(case: &Case<'_>) -> Result<(), String> {
    check(case, |handler, keyspace| {
        block_on(handler.clear_async(keyspace))
    })
}

fn check(
    case: &Case<'_>,
    clear: impl Fn(&dyn Handler, &str) -> Result<(), premier::Error>,
) -> Result<(), String> {
    // Keyspaces with characters of patterns, one of which is a prefix or a match of others.
    let cleared = case.keyspace(" [a-z]*");
    let others = [
        case.keyspace(" [a-z]*b"),
        case.keyspace(" a"),
        case.keyspace(" abc"),
    ];
    let limits = |keyspace: &str| {
        let mut all: Vec<_> = each_algorithm(2)
            .iter()
            .map(|limit| case.in_keyspace(keyspace, "f", &[*limit]))
            .collect();
        let bucket = Limit::token_bucket(2, MINUTE);
        all.push(case.in_keyspace(keyspace, "g", &[bucket, Limit::fixed_window(2, MINUTE)]));
        all
    };
    let clear = |keyspace: &str| {
        clear(case.handler, keyspace).map_err(|error| format!("clear {keyspace:?}: {error}"))
    };
    for keyspace in others.iter().chain([&cleared]) {
        clear(keyspace)?;
        for limited in limits(keyspace) {
            limited.admits(2, 0)?;
            limited.of("key").admits(2, 0)?;
        }
    }
    clear(&cleared)?;
    for limited in limits(&cleared) {
        limited.has(2)?;
        limited.of("key").has(2)?;
    }
    for keyspace in &others {
        for limited in limits(keyspace) {
            limited.has(0)?;
            limited.of("key").has(0)?;
        }
        clear(keyspace)?;
    }
    Ok(())
}
