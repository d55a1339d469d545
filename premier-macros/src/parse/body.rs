//! The body of a function as a group of tokens.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::{Error, Result};

/// Returns the braces of a body. A body from `macro_rules!` may be in an invisible group.
pub(super) fn braces(body: TokenTree) -> Result<Group> {
    let span = body.span();
    let TokenTree::Group(group) = body else {
        return Err(Error::new(span, "expected the body of a function"));
    };
    let mut inside = group.stream().into_iter();
    match (group.delimiter(), inside.next(), inside.next()) {
        (Delimiter::Brace, ..) => Ok(group),
        (Delimiter::None, Some(only), None) => braces(only),
        _ => Err(Error::new(span, "expected the body of a function")),
    }
}

/// Splits a body into its leading `#![…]` attributes and the rest.
pub(super) fn split_inner_attributes(body: &Group) -> (TokenStream, Group) {
    let mut inner = TokenStream::new();
    let mut rest: std::collections::VecDeque<TokenTree> = body.stream().into_iter().collect();
    while let (
        Some(TokenTree::Punct(hash)),
        Some(TokenTree::Punct(bang)),
        Some(TokenTree::Group(_)),
    ) = (rest.front(), rest.get(1), rest.get(2))
    {
        if hash.as_char() != '#' || bang.as_char() != '!' {
            break;
        }
        inner.extend(rest.drain(..3));
    }
    let mut group = Group::new(Delimiter::Brace, rest.into_iter().collect());
    group.set_span(body.span());
    (inner, group)
}

/// Returns whether the body is an async block and nothing else.
pub(crate) fn is_async_block(body: &Group) -> bool {
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let (Some((TokenTree::Group(_), words)), Some(TokenTree::Ident(first))) =
        (tokens.split_last(), tokens.first())
    else {
        return false;
    };
    first == "async"
        && words
            .iter()
            .all(|word| matches!(word, TokenTree::Ident(word) if word == "async" || word == "move"))
}
