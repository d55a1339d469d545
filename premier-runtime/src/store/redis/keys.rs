//! The names of keys in Redis: `{keyspace}:{function}:{algo}`, followed by `:{key}`.
//!
//! Clients choose keys, so any text of any length must be safe. Braces are escaped, because they
//! would choose the slot of a cluster, and `%` is escaped as the escape character. A key longer than
//! 128 bytes is replaced by its SHA-256. Both mappings are injective (up to collisions of SHA-256),
//! so two keys of one limit never share a state. Two limits share a state only if the name of one is
//! the name of the other followed by `:`, an algorithm and more.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::few::Few;
use crate::algorithms::Plan;
use crate::key::digest::MAX_PLAIN_LEN;
use crate::key::full::Key;

/// Returns the Redis key of a cached value. For `hash_all` see [`redis_keys`].
pub(super) fn value_key(key: &Key<'_>, hash_all: bool) -> String {
    let mut base = String::with_capacity(key.prefix().len() + 64);
    push_escaped(&mut base, key.prefix());
    if let Some(subject) = key.subject() {
        base.push(':');
        // A hash takes 66 bytes, so hashing never makes a long key longer.
        if hash_all || subject.len() > MAX_PLAIN_LEN {
            push_hash(&mut base, subject);
        } else {
            push_escaped(&mut base, subject);
        }
    }
    base
}

/// Returns the Redis key of the token of a cached value: in the slot of the value, and with the same prefix, so
/// that [`pattern`] matches it.
#[cfg(feature = "cache")]
pub(super) fn token_key(key: &Key<'_>, value_key: &str) -> String {
    let mut token_key = String::with_capacity(key.prefix().len() + value_key.len() + 3);
    push_escaped(&mut token_key, key.prefix());
    // No other key of premier's ends with a brace.
    token_key + ":{" + value_key + "}"
}

/// Returns the glob pattern that matches the tokens of the cached values of a keyspace.
#[cfg(feature = "cache")]
pub(super) fn token_pattern(keyspace: &str) -> String {
    pattern(keyspace) + "{*}"
}

/// Returns the Redis keys of a request: one key for a single limit, and one for each limit of a group,
/// all in one slot of a cluster. `hash_all` says whether the caller's key is hashed even if it is short.
pub(super) fn redis_keys(key: &Key<'_>, plans: &[Plan], hash_all: bool) -> Few<String> {
    let base = value_key(key, hash_all);
    if plans.len() <= 1 {
        return Few::One(base);
    }
    // The keyspace stays outside of the braces, because `pattern` matches keys by it.
    let (keyspace, rest) = base.split_once(':').unwrap_or((&base, ""));
    plans
        .iter()
        .enumerate()
        // Ends with the limit's algorithm, so that a state is never read by another algorithm.
        .map(|(index, plan)| format!("{keyspace}:{{{rest}}}:{index}:{}", plan.limit().algo()))
        .collect()
}

/// Returns the glob pattern that matches the keys of a keyspace and no others.
pub(super) fn pattern(keyspace: &str) -> String {
    let mut escaped = String::new();
    push_escaped(&mut escaped, keyspace);
    let mut pattern = String::new();
    for character in escaped.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + ":*"
}

/// Returns the hash slot of a key, as the Redis cluster specification defines it.
pub(super) fn slot(key: &str) -> u16 {
    let tagged = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tagged
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty())
        .unwrap_or(key);
    crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes()) % 16_384
}

fn push_escaped(target: &mut String, part: &str) {
    let mut rest = part;
    let is_special = |byte| matches!(byte, b'%' | b'{' | b'}');
    while let Some(index) = rest.bytes().position(is_special) {
        let (plain, special) = rest.split_at(index);
        target.push_str(plain);
        target.push_str(match special.as_bytes().first() {
            Some(b'%') => "%25",
            Some(b'{') => "%7B",
            _ => "%7D",
        });
        rest = &special[1..];
    }
    target.push_str(rest);
}

/// Appends `%#` and the SHA-256 of a key. No escaped key starts with `%#`.
fn push_hash(target: &mut String, part: &str) {
    target.push_str("%#");
    for byte in Sha256::digest(part.as_bytes()) {
        // Writing to a `String` cannot fail.
        let _ = write!(target, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(subject: &str) -> String {
        named(subject, false)
    }

    fn named(subject: &str, hash_all: bool) -> String {
        let key = Key::new("premier:shop:f:token_bucket", Some(subject));
        redis_keys(&key, &[], hash_all)[0].clone()
    }

    #[test]
    fn braces_neither_break_nor_steer_the_slot() {
        assert_eq!(key("{a}b"), "premier:shop:f:token_bucket:%7Ba%7Db");
        assert_ne!(key("{a}"), key("%7Ba%7D"));
        let second = std::time::Duration::from_secs(1);
        let plans = [crate::limit::quota::Limit::fixed_window(1, second); 3]
            .map(|limit| Plan::new(limit).unwrap());
        for group in [
            redis_keys(&Key::new("p:f", Some("}{x}")), &plans, false),
            redis_keys(&Key::new("p:f", Some("x")), &plans, true),
            redis_keys(&Key::new("p:f", None), &plans, false),
        ] {
            let slots: Vec<u16> = group.iter().map(|key| slot(key)).collect();
            assert!(slots.iter().all(|slot| *slot == slots[0]), "{group:?}");
        }
    }

    #[cfg(feature = "cache")]
    #[test]
    fn a_token_is_in_the_slot_of_its_value_and_in_its_keyspace() {
        for subject in [Some("{a}b"), Some(""), Some(&*"x".repeat(200)), None] {
            let key = Key::new("premier:cache:{user}", subject);
            let value = value_key(&key, false);
            let token = token_key(&key, &value);
            assert_eq!(slot(&token), slot(&value), "{token}");
            assert!(token.starts_with("premier:cache:%7Buser%7D:{"), "{token}");
            assert!(token.ends_with('}') && !value.ends_with('}'));
        }
        assert_eq!(token_pattern("shop"), "shop:*{*}");
    }

    #[test]
    fn long_keys_are_hashed_and_stay_apart() {
        let (one, two) = (key(&"x".repeat(1 << 20)), key(&"x".repeat((1 << 20) + 1)));
        assert!(one.len() < 100 && two.len() < 100);
        assert_ne!(one, two);
        assert_ne!(one, key(one.rsplit_once(':').unwrap().1));
    }

    #[test]
    fn short_keys_are_hashed_if_asked() {
        let (alice, bob) = (named("alice", true), named("bob", true));
        assert!(!alice.contains("alice") && alice != bob, "{alice}");
        let long = "x".repeat(200);
        assert_eq!(named(&long, true), key(&long));
    }

    #[test]
    fn a_keyspace_is_taken_literally() {
        assert_eq!(pattern("a*b[c]?"), r"a\*b\[c\]\?:*");
    }

    /// From the examples of the Redis cluster specification.
    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
        assert_eq!(
            slot("foo{}{bar}"),
            crc16::State::<crc16::XMODEM>::calculate(b"foo{}{bar}") % 16_384
        );
    }
}
