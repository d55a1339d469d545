//! The cached values of a store that keeps them.

use std::time::Duration;

use premier::cache::{LoadToken, ValueStore};
use premier::{Error, Key};

use crate::Check;
use crate::case::{Case, MINUTE, ensure};
use crate::threads::block_on;

pub(crate) const CHECKS: [Check; 4] = [
    ("values are loaded as they were saved", values),
    ("values expire", expiry),
    ("clear removes the values of a keyspace", clear),
    (
        "values computed from before an invalidation are not saved",
        tokens,
    ),
];

/// Whether the value of a key is this one.
fn expect(values: &dyn ValueStore, key: Key<'_>, expected: Option<&[u8]>) -> Result<(), String> {
    let failed = |error: Error| format!("load {key}: {error}");
    for loaded in [
        values.load(key).map_err(failed)?,
        block_on(values.load_async(key)).map_err(failed)?,
    ] {
        let value = loaded.as_ref().map(|(value, _)| value.as_slice());
        ensure(
            value == expected,
            format!("{key}: {value:?} instead of {expected:?}"),
        )?;
        let left = loaded.map(|(_, left)| left);
        ensure(
            left.is_none_or(|left| !left.is_zero() && left <= MINUTE),
            format!("{key} expires in {left:?}"),
        )?;
    }
    Ok(())
}

fn values(case: &Case<'_>) -> Result<(), String> {
    let Some(values) = case.handler.values() else {
        return Ok(());
    };
    let prefix = format!("{}:values", case.keyspace(""));
    let (one, other) = (Key::new(&prefix, Some("{one}:1")), Key::new(&prefix, None));
    expect(values, one, None)?;
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [&b""[..], b"\0\r\n", &every_byte, &[7; 100_000]] {
        values.save(one, value.to_vec(), MINUTE);
        expect(values, one, Some(value))?;
        expect(values, other, None)?;
    }
    values.save(other, b"other".to_vec(), MINUTE);
    let failed = |error: Error| format!("forget: {error}");
    values.forget(one).map_err(failed)?;
    expect(values, one, None)?;
    expect(values, other, Some(b"other"))?;
    block_on(values.forget_async(other)).map_err(failed)?;
    expect(values, other, None)
}

fn expiry(case: &Case<'_>) -> Result<(), String> {
    let Some(values) = case.handler.values() else {
        return Ok(());
    };
    let prefix = format!("{}:expiry", case.keyspace(""));
    let key = Key::new(&prefix, None);
    let ttl = Duration::from_millis(50);
    values.save(key, b"value".to_vec(), ttl);
    // By the clock of the handler, or by one of the store's.
    case.clock.advance(ttl);
    case.eventually("a value has expired", || {
        let loaded = values.load(key).map_err(|error| error.to_string())?;
        Ok(loaded.is_none())
    })
}

fn clear(case: &Case<'_>) -> Result<(), String> {
    let Some(values) = case.handler.values() else {
        return Ok(());
    };
    let keyspaces = [case.keyspace(" a"), case.keyspace(" ab")];
    let prefixes = keyspaces
        .clone()
        .map(|keyspace| format!("{keyspace}:values"));
    let keys = [0, 1].map(|index: usize| Key::new(&prefixes[index], Some("key")));
    for key in keys {
        values.save(key, b"value".to_vec(), MINUTE);
        expect(values, key, Some(b"value"))?;
    }
    let clear = |keyspace: &str| {
        case.handler
            .clear(keyspace)
            .map_err(|error| format!("clear: {error}"))
    };
    clear(&keyspaces[0])?;
    expect(values, keys[0], None)?;
    expect(values, keys[1], Some(b"value"))?;
    clear(&keyspaces[1])
}

fn tokens(case: &Case<'_>) -> Result<(), String> {
    let Some(values) = case.handler.values() else {
        return Ok(());
    };
    let keyspace = case.keyspace("");
    let prefix = format!("{keyspace}:tokens");
    let key = Key::new(&prefix, Some("{key}"));
    let begin = |stale| {
        let failed = |error: Error| format!("load_or_begin: {error}");
        let (found, token) = values.load_or_begin(key, stale).map_err(failed)?;
        let of_async = block_on(values.load_or_begin_async(key, stale)).map_err(failed)?;
        ensure(
            token.is_some() == of_async.1.is_some(),
            "load_or_begin_async has to return a token where load_or_begin does",
        )?;
        Ok::<_, String>((found.map(|(value, _)| value), token))
    };
    let needed = |token: Option<LoadToken>| token.ok_or("there is no value, and no token");
    let (none, token) = begin(Duration::ZERO)?;
    let token = needed(token)?;
    if token == LoadToken::default() {
        // A store without tokens.
        return Ok(());
    }
    ensure(none.is_none(), format!("{none:?} instead of no value"))?;
    values.save_begun(key, b"value".to_vec(), MINUTE, token);
    expect(values, key, Some(b"value"))?;
    let (found, token) = begin(Duration::ZERO)?;
    ensure(
        found.is_some() && token.is_none(),
        "a fresh value is returned without a token",
    )?;

    let (found, token) = begin(2 * MINUTE)?;
    ensure(found.is_some(), "a stale value is returned")?;
    let forget = || values.forget(key);
    let clear = || case.handler.clear(&keyspace);
    let mut token = needed(token)?;
    for invalidate in [&forget as &dyn Fn() -> Result<(), Error>, &clear] {
        invalidate().map_err(|error| format!("forget or clear: {error}"))?;
        values.save_begun(key, b"old".to_vec(), MINUTE, token);
        expect(values, key, None)?;
        token = needed(begin(Duration::ZERO)?.1)?;
    }
    values.abandon(key, token);
    expect(values, key, None)
}
