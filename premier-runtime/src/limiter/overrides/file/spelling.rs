//! Suggestions for misspelled names.

use std::sync::Arc;

/// The known name that a name may stand for: a function that was written without its path, or a name with a typing
/// error.
pub(super) fn similar<'a>(name: &str, known: &'a [Arc<str>]) -> Option<&'a str> {
    let of_function = format!(":{name}");
    let mut names = known.iter().map(|known| &**known);
    if let Some(with_path) = names.find(|known| known.ends_with(&of_function)) {
        return Some(with_path);
    }
    let most = name.chars().count().div_ceil(4);
    known
        .iter()
        .map(|known| (edits(name, known), &**known))
        .filter(|(edits, _)| *edits <= most)
        .min()
        .map(|(_, known)| known)
}

/// The Levenshtein distance: how many characters have to be inserted, removed or replaced to turn one text into the
/// other.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (index, character) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, of_other) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *of_other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_its_path_or_with_a_typing_error_is_recognised() {
        let known: Vec<Arc<str>> = ["shop::search:search", "login", "upload"]
            .map(Arc::from)
            .into();
        assert_eq!(similar("search", &known), Some("shop::search:search"));
        assert_eq!(similar("logn", &known), Some("login"));
        assert_eq!(similar("uplaod", &known), Some("upload"));
        assert_eq!(similar("export", &known), None);
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "same"), 0);
    }
}
