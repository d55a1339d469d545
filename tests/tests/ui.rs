//! What the compiler says of a misused attribute.

#[test]
fn misuse_is_told_in_one_clear_message_each() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
