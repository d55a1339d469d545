//! Bodies that `#[async_trait]` has already rewritten to `Box::pin(async move { … })`.
//!
//! `#[async_trait]` on an impl expands before the attributes of the methods inside.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprIf, Pat, Stmt, Token};

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

/// Stores the patterns of `let pattern = __arg1;` statements with their parameters. `#[async_trait]`
/// moves the user's patterns there, before the user's body.
pub(super) fn find_inner_patterns(body: &Group, parameters: &mut [Parameter]) {
    let find = |input: ParseStream<'_>| {
        // Before them is an `if let` that never runs.
        if input.peek(Token![if]) {
            input.parse::<ExprIf>()?;
        }
        while let Stmt::Local(statement) = input.parse()? {
            let Some(value) = statement.init.as_ref().and_then(|init| name(&init.expr)) else {
                break;
            };
            for parameter in &mut *parameters {
                if *value == parameter.name.to_string() && !matches!(statement.pat, Pat::Ident(_)) {
                    parameter.inner_pattern = Some(statement.pat.clone());
                }
            }
        }
        Ok(())
    };
    // The patterns are before the first statement that is incomplete.
    let _ = find.parse2(boxed_block(body).unwrap_or_default());
}

/// Returns the name that an expression consists of: `__arg1`, or
/// `{ let __arg1 = __arg1; __arg1 }`.
fn name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Path(path) => path.path.get_ident(),
        Expr::Block(block) => match block.block.stmts.last()? {
            Stmt::Expr(value, None) => name(value),
            _ => None,
        },
        _ => None,
    }
}
