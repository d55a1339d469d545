//! Keys of `#[cache]`, and the instances of generic functions.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU32;

use premier::cache;

use super::{CLOCK, next};

#[test]
fn a_key_may_be_written_in_every_notation() {
    counter!(CALLS);
    #[cache(key = user.len())]
    fn by_expression(user: &str) -> u32 {
        let _ = user;
        next(&CALLS)
    }
    #[cache(key = "{user}-{page}")]
    fn by_format(user: &str, page: u32) -> u32 {
        let _ = (user, page);
        next(&CALLS)
    }
    #[cache(keymaker = |user, _| &user[..1])]
    fn by_keymaker(user: String, page: u32) -> u32 {
        let _ = (user, page);
        next(&CALLS)
    }
    #[cache]
    fn by_all(left: &str, right: &str) -> u32 {
        let _ = (left, right);
        next(&CALLS)
    }
    #[cache]
    fn without_arguments() -> u32 {
        next(&CALLS)
    }
    LazyLock::force(&CLOCK);
    assert_eq!(by_expression("ab"), by_expression("cd"));
    assert_ne!(by_expression("ab"), by_expression("abc"));
    assert_eq!(by_format("a", 1), by_format("a", 1));
    assert_ne!(by_format("a", 1), by_format("a", 2));
    assert_eq!(
        by_keymaker("alice".into(), 1),
        by_keymaker("anna".into(), 2)
    );
    assert_ne!(by_keymaker("alice".into(), 1), by_keymaker("bob".into(), 1));
    assert_eq!(by_all("a", "b"), by_all("a", "b"));
    assert_ne!(by_all("a:b", "c"), by_all("a", "b:c"));
    assert_eq!(without_arguments(), without_arguments());
}

/// Instances of one generic function share their keys, but never return a value of another
/// instance's type.
#[test]
fn instances_of_a_generic_function_never_mix_types() {
    #[cache(key = "k")]
    fn made<T: From<u8> + Clone + Send + Sync + 'static>(value: u8) -> T {
        T::from(value)
    }
    LazyLock::force(&CLOCK);
    assert_eq!(made::<u32>(1), 1);
    assert_eq!(made::<u64>(2), 2);
    assert_eq!(made::<u32>(3), 1);
}

trait Load: 'static {
    type Value: Clone + Send + Sync + 'static;
    fn load(id: u64) -> Self::Value;
}

struct Outer;

struct Inner;

impl Load for Outer {
    type Value = String;
    fn load(id: u64) -> String {
        by_type::<Inner>(id).to_string()
    }
}

impl Load for Inner {
    type Value = u64;
    fn load(id: u64) -> u64 {
        id
    }
}

#[cache(key = id)]
fn by_type<T: Load>(id: u64) -> T::Value {
    T::load(id)
}

#[test]
fn one_instance_of_a_generic_function_may_call_another_with_its_key() {
    LazyLock::force(&CLOCK);
    assert_eq!(by_type::<Outer>(1), "1");
}
