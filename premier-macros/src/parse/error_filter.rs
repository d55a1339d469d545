//! The `on` and `when` arguments.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Expr, Pat};

use super::words::contains_word;

/// The variants of `premier::Error` for calls that premier refused: those of `Error::is_refusal` in the runtime.
const REFUSALS: [&str; 8] = [
    "BucketFull",
    "CircuitOpen",
    "ConcurrencyExceeded",
    "CostExceedsCapacity",
    "MissingKey",
    "QuotaExceeded",
    "TooManyKeys",
    "TooManyWaiting",
];

/// Selects the errors that an attribute reacts to.
pub(crate) enum ErrorFilter {
    All,
    /// `on = pattern if guard`
    Pattern(Pat, Option<Expr>),
    /// `when = |error| …`
    Predicate(Expr),
}

impl ErrorFilter {
    /// Returns whether the filter is about refusals by premier, too. A pattern that does not match every
    /// error can match a refusal only by the user's variant for premier's errors, so it counts as naming
    /// them. Any other condition has to name a variant of `premier::Error`.
    pub(crate) fn names_refusals(&self) -> bool {
        match self {
            Self::Pattern(pattern, None) if !matches_all(pattern) => true,
            _ => self.contains(&REFUSALS),
        }
    }

    /// Returns whether the filter names the error of an open circuit breaker.
    pub(crate) fn names_open_circuit(&self) -> bool {
        self.contains(&["CircuitOpen"])
    }

    fn contains(&self, words: &[&str]) -> bool {
        match self {
            Self::All => false,
            Self::Pattern(pattern, guard) => {
                any_word(&pattern.to_token_stream(), words)
                    || any_word(&guard.to_token_stream(), words)
            }
            Self::Predicate(predicate) => any_word(&predicate.to_token_stream(), words),
        }
    }
}

/// Returns whether a pattern matches every error.
pub(crate) fn matches_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        Pat::Ident(name) => match &name.subpat {
            Some((_, pattern)) => matches_all(pattern),
            None => is_variable(&name.ident.to_string()),
        },
        Pat::Or(or) => or.cases.iter().any(matches_all),
        Pat::Paren(inner) => matches_all(&inner.pat),
        Pat::Reference(inner) => matches_all(&inner.pat),
        _ => false,
    }
}

/// Returns whether a name in a pattern is a new variable by convention, not a constant or a variant.
fn is_variable(name: &str) -> bool {
    !name
        .trim_start_matches("r#")
        .starts_with(char::is_uppercase)
}

fn any_word(tokens: &TokenStream, words: &[&str]) -> bool {
    words.iter().any(|word| contains_word(tokens.clone(), word))
}
