//! The compiler's messages for misused attributes.

#[test]
fn every_misuse_of_an_attribute_has_its_own_message() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
