//! Keys are any text, and each has a state of its own.

use premier::Limit;

use crate::Check;
use crate::case::{Case, MINUTE};

pub(crate) const CHECKS: [Check; 2] = [
    ("keys of any text are apart", any_text),
    ("limits of any name are apart", names),
];

fn any_text(case: &Case<'_>) -> Result<(), String> {
    let limited = case.limits("keys", &[Limit::fixed_window(3, MINUTE)]);
    let (long, longer) = ("x".repeat(10_000), "x".repeat(10_001));
    let keys = [
        "",
        "a",
        "A",
        "a:b",
        ":",
        "{a}",
        "}{",
        "%",
        "%25",
        "*",
        "a b",
        "a\tb",
        "a\nb",
        "a\r\nb",
        "\0",
        "ä",
        "ä\u{308}",
        "'\"\\",
        &long,
        &longer,
    ];
    for _ in 0..2 {
        limited.admits(1, 2)?;
        for key in keys {
            limited
                .of(key)
                .admits(2, 1)
                .map_err(|failure| format!("key {:?}: {failure}", key.get(..20).unwrap_or(key)))?;
        }
        case.clock.advance(MINUTE);
    }
    Ok(())
}

fn names(case: &Case<'_>) -> Result<(), String> {
    for name in ["a", "b", "a::b", "a{b}"] {
        let limited = case.limits(name, &[Limit::token_bucket(2, MINUTE)]);
        limited.of("key").admits(2, 0)?;
        // Another algorithm under the name.
        let limited = case.limits(name, &[Limit::sliding_log(2, MINUTE)]);
        limited.of("key").admits(2, 0)?;
    }
    Ok(())
}
