//! Cached functions that return no `Result`.

use premier::cache;

#[cache]
fn joined(left: &str, right: u32) -> String {
    format!("{left}{right}")
}

#[cache(only_some)]
async fn found(id: u32) -> Option<u32> {
    (id > 1).then_some(id)
}

#[tokio::test]
async fn functions_without_a_result_are_cached() {
    assert_eq!(joined("a", 1), "a1");
    assert_eq!(joined("a", 1), "a1");
    assert_eq!(found(1).await, None);
    assert_eq!(found(2).await, Some(2));
}
