//! Format strings.

use std::ops::Range;

/// Returns where in a format string the arguments of its placeholders are: `user` in `{user:?}`.
pub(crate) fn placeholders(text: &str) -> Vec<Range<usize>> {
    let mut arguments = Vec::new();
    let mut rest = 0;
    while let Some(brace) = text[rest..].find('{') {
        let start = rest + brace + 1;
        if text[start..].starts_with('{') {
            rest = start + 1;
            continue;
        }
        let Some(length) = text[start..].find('}') else {
            break;
        };
        rest = start + length;
        let argument = text[start..rest].split(':').next().unwrap_or_default();
        let argument = start..start + argument.trim_end().len();
        arguments.push(argument);
    }
    arguments
}
