//! Without `key`, a cached value belongs to the arguments of its call, not to their text.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use premier::cache;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// A number that no other run of any body has.
fn run() -> u32 {
    RUNS.fetch_add(1, Ordering::SeqCst)
}

/// Displays its name only.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct User {
    id: u32,
    name: &'static str,
}

impl Display for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// Two users with one name.
const ALICES: [User; 2] = [
    User {
        id: 1,
        name: "alice",
    },
    User {
        id: 2,
        name: "alice",
    },
];

#[test]
fn arguments_that_look_alike_do_not_share_a_value() {
    #[cache]
    fn visits(user: User) -> (u32, u32) {
        (user.id, run())
    }
    for _ in 0..3 {
        for alice in ALICES {
            assert_eq!(visits(alice.clone()).0, alice.id);
        }
    }
    let [one, _] = ALICES;
    assert_eq!(visits(one.clone()), visits(one), "equal arguments do");
}

#[test]
fn references_are_told_apart_by_what_they_refer_to() {
    #[cache]
    fn visits(user: &User, path: &Path) -> (u32, u32) {
        let _ = path;
        (user.id, run())
    }
    let [one, two] = ALICES;
    let first = visits(&one, Path::new("/"));
    assert_eq!(visits(&one.clone(), Path::new("/")), first);
    assert_eq!(visits(&two, Path::new("/")).0, 2);
    assert_ne!(visits(&one, Path::new("/a")), first);
}

#[tokio::test]
async fn async_functions_and_methods_without_self_go_by_the_arguments_too() {
    struct Repo;
    impl Repo {
        #[cache]
        async fn load(user: User) -> Result<(u32, u32), String> {
            Ok((user.id, run()))
        }
    }
    let [one, two] = ALICES;
    let first = Repo::load(one.clone()).await.unwrap();
    assert_eq!(Repo::load(two).await.unwrap().0, 2);
    assert_eq!(Repo::load(one.clone()).await.unwrap().0, 1);
    assert_eq!(first.0, 1);
}

#[test]
fn arguments_need_no_text() {
    #[cache]
    fn total(numbers: Vec<u32>, names: &[String], limit: Option<(u8, char)>) -> u32 {
        let _ = (numbers, names, limit);
        run()
    }
    let names = ["a".to_owned()];
    let first = total(vec![1, 2], &names, None);
    assert_eq!(total(vec![1, 2], &names.clone(), None), first);
    assert_ne!(total(vec![12], &names, None), first);
    assert_ne!(total(vec![1, 2], &[], None), first);
    assert_ne!(total(vec![1, 2], &names, Some((0, ' '))), first);
}

#[test]
fn text_and_integers_of_every_form_find_their_value() {
    #[cache]
    fn both(text: Cow<'_, str>, shared: Arc<str>, number: i64, flag: bool) -> u32 {
        let _ = (text, shared, number, flag);
        run()
    }
    let first = both("a:".into(), "b".into(), -1, true);
    assert_eq!(
        both(String::from("a:").into(), Arc::from("b"), -1, true),
        first
    );
    assert_ne!(both("a".into(), ":b".into(), -1, true), first);
    assert_ne!(both("a:".into(), "b".into(), 1, true), first);
    assert_ne!(both("a:".into(), "b".into(), -1, false), first);
}

#[test]
fn a_value_is_invalidated_by_the_text_of_its_arguments() {
    #[cache(name = "identity.page")]
    fn page(number: u32, user: &User) -> u32 {
        let _ = (number, user);
        run()
    }
    let [one, two] = ALICES;
    let first = page(1, &one);
    cache::invalidate("identity.page", "1:alice").unwrap();
    let second = page(1, &one);
    assert_ne!(second, first);
    cache::invalidate("identity.page", "2:alice").unwrap();
    assert_eq!(page(1, &one), second);
    assert_ne!(page(1, &two), second);
}

/// The cache compares arguments without a lock.
#[test]
fn comparing_arguments_may_use_the_cache() {
    #[derive(Clone, Eq)]
    struct Nested(u32);
    impl Hash for Nested {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Nested {
        fn eq(&self, other: &Self) -> bool {
            assert_eq!(load(Nested2(self.0)), self.0);
            self.0 == other.0
        }
    }
    #[derive(Clone, Hash, Eq, PartialEq)]
    struct Nested2(u32);
    #[cache]
    fn load(value: Nested2) -> u32 {
        value.0
    }
    #[cache]
    fn outer(value: Nested) -> u32 {
        let _ = &value;
        run()
    }
    let first = outer(Nested(1));
    assert_eq!(outer(Nested(1)), first);
}
