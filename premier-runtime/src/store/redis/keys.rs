//! Keys as they stand in Redis.
//!
//! `{keyspace}:{function}:{algo}`, plus `:{key}`. What a client chooses can be anything of any
//! length, so its braces, which would steer the cluster's slot, are escaped, and so is the escape
//! itself; a long part is replaced by its SHA-256. Both are injective (the hash up to collisions of
//! SHA-256): two keys of one limit never share a state. Neither do two limits, unless the name of
//! one is that of the other with an algorithm and more behind it.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::algorithms::Plan;
use crate::key::full::Key;

/// Longer parts are hashed. A hash takes 66 bytes, so that no shorter key grows by it.
const MAX_SUBJECT_LEN: usize = 128;

/// The keys of a request: one, or one for each limit of a group, all in one slot.
pub(super) fn redis_keys(key: &Key<'_>, plans: &[Plan]) -> Vec<String> {
    let mut base = String::with_capacity(key.prefix().len() + 64);
    push_escaped(&mut base, key.prefix());
    if let Some(subject) = key.subject() {
        base.push(':');
        if subject.len() > MAX_SUBJECT_LEN {
            push_hash(&mut base, subject);
        } else {
            push_escaped(&mut base, subject);
        }
    }
    if plans.len() <= 1 {
        return vec![base];
    }
    // The first part stays outside of the braces: `clear` finds a keyspace by it.
    let (keyspace, rest) = base.split_once(':').unwrap_or((&base, ""));
    plans
        .iter()
        .enumerate()
        // With its own algorithm: a state is never read as that of another.
        .map(|(index, plan)| format!("{keyspace}:{{{rest}}}:{index}:{}", plan.limit().algo()))
        .collect()
}

/// What `SCAN` has to match for all keys of a keyspace, and for nothing else.
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

/// The cluster's slot of a key.
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
    for character in part.chars() {
        match character {
            '%' => target.push_str("%25"),
            '{' => target.push_str("%7B"),
            '}' => target.push_str("%7D"),
            other => target.push(other),
        }
    }
}

/// No escaped part begins with `%#`.
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
        redis_keys(&Key::new("premier:shop:f:token_bucket", Some(subject)), &[]).remove(0)
    }

    #[test]
    fn braces_neither_break_nor_steer_the_slot() {
        assert_eq!(key("{a}b"), "premier:shop:f:token_bucket:%7Ba%7Db");
        assert_ne!(key("{a}"), key("%7Ba%7D"));
        let second = std::time::Duration::from_secs(1);
        let plans = [crate::limit::quota::Limit::fixed_window(1, second); 3]
            .map(|limit| Plan::new(limit).unwrap());
        for group in [
            redis_keys(&Key::new("p:f", Some("}{x}")), &plans),
            redis_keys(&Key::new("p:f", None), &plans),
        ] {
            let slots: Vec<u16> = group.iter().map(|key| slot(key)).collect();
            assert!(slots.iter().all(|slot| *slot == slots[0]), "{group:?}");
        }
    }

    #[test]
    fn long_keys_are_hashed_and_stay_apart() {
        let (one, two) = (key(&"x".repeat(1 << 20)), key(&"x".repeat((1 << 20) + 1)));
        assert!(one.len() < 100 && two.len() < 100);
        assert_ne!(one, two);
        assert_ne!(one, key(one.rsplit_once(':').unwrap().1));
    }

    #[test]
    fn a_keyspace_is_taken_literally() {
        assert_eq!(pattern("a*b[c]?"), r"a\*b\[c\]\?:*");
    }

    /// The examples of the cluster specification.
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
