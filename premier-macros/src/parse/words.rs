//! Words in tokens.

use proc_macro2::{TokenStream, TokenTree};

/// Returns whether the tokens contain this identifier or keyword.
pub(crate) fn contains_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => contains_word(group.stream(), word),
        TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}
