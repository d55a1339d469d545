//! The compiler's messages for misused attributes.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_misuse_of_an_attribute_has_its_own_message() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}

/// A file in `ui` with one mistake ends without a comment, and one with several mistakes ends with a
/// comment such as `// 3 mistakes`.
#[test]
fn every_mistake_is_one_error() {
    for (path, source) in files("rs") {
        let mistakes = source
            .lines()
            .last()
            .and_then(|line| line.strip_prefix("// ")?.strip_suffix(" mistakes"))
            .map_or(1, |mistakes| mistakes.parse().unwrap());
        let messages = fs::read_to_string(path.with_extension("stderr")).unwrap();
        let errors = messages
            .lines()
            .filter(|line| line.starts_with("error"))
            .count();
        assert_eq!(errors, mistakes, "{}", path.display());
    }
}

#[test]
fn no_message_mentions_a_private_name() {
    for (path, messages) in files("stderr") {
        for private in ["premier_runtime::", "__private", "__premier"] {
            assert!(
                !messages.contains(private),
                "{private} in {}",
                path.display()
            );
        }
    }
}

/// The files in `ui` with this extension, and what is in them.
fn files(extension: &str) -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(files.len() > 40, "{}", files.len());
    files
}
