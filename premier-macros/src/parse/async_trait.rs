//! Bodies that `#[async_trait]` has already rewritten to `Box::pin(async move { … })`.
//!
//! `#[async_trait]` on an impl expands before the attributes of the methods inside.

use proc_macro2::{Group, TokenStream, TokenTree};
use syn::Pat;
use syn::parse::Parser;

use super::parameter::Parameter;

/// Returns whether the body is `Box::pin(async …)` and nothing else.
pub(super) fn is_boxed_block(body: &Group) -> bool {
    let mut tokens = body.stream().into_iter().collect::<Vec<_>>();
    let Some(TokenTree::Group(arguments)) = tokens.pop() else {
        return false;
    };
    let called = matches!(tokens.pop(), Some(TokenTree::Ident(pin)) if pin == "pin");
    let is_async = arguments
        .stream()
        .into_iter()
        .next()
        .is_some_and(|first| matches!(first, TokenTree::Ident(word) if word == "async"));
    let path_only = tokens.iter().all(|token| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(mark) => mark.as_char() == ':',
        _ => false,
    });
    called && is_async && path_only
}

/// Returns the statements inside the async block of such a body.
pub(crate) fn boxed_block(body: &Group) -> Option<TokenStream> {
    let TokenTree::Group(arguments) = body.stream().into_iter().last()? else {
        return None;
    };
    match arguments.stream().into_iter().last()? {
        TokenTree::Group(block) => Some(block.stream()),
        _ => None,
    }
}

/// Stores the patterns of the leading `let pattern = __arg1;` statements with their parameters.
/// `#[async_trait]` moves the user's patterns there.
pub(super) fn find_inner_patterns(body: &Group, parameters: &mut [Parameter]) {
    let block = boxed_block(body).unwrap_or_default();
    let mut tokens = block.into_iter().peekable();
    while matches!(tokens.peek(), Some(TokenTree::Ident(word)) if word == "let") {
        let statement: Vec<TokenTree> = tokens
            .by_ref()
            .skip(1)
            .take_while(|token| !matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';'))
            .collect();
        let [
            pattern @ ..,
            TokenTree::Punct(equals),
            TokenTree::Ident(value),
        ] = &statement[..]
        else {
            return;
        };
        let pattern: TokenStream = pattern.iter().cloned().collect();
        let Ok(pattern) = Parser::parse2(Pat::parse_single, pattern) else {
            return;
        };
        if equals.as_char() != '=' || matches!(pattern, Pat::Ident(_)) {
            continue;
        }
        let value = value.to_string();
        for parameter in &mut *parameters {
            if parameter.name.to_string() == value {
                parameter.inner_pattern = Some(pattern.clone());
            }
        }
    }
}
