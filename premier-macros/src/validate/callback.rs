//! Closures whose bodies are inserted into the function.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Error, Expr, ExprClosure, Result, Token};

use crate::parse::arguments::Arguments;
use crate::parse::literal::peel;

/// Takes `name = callee`, where `callee` is called with one argument. The message about another
/// number of arguments describes the argument as `argument`.
pub(crate) fn take_callback(arguments: &mut Arguments, name: &str, argument: &str) -> Option<Expr> {
    let (_, callee) = arguments.expr(name)?;
    arguments
        .errors
        .keep(check_callback(&callee, name, argument));
    Some(callee)
}

/// Takes `on_reject = |error| value`.
pub(crate) fn take_on_reject(arguments: &mut Arguments) -> Option<Expr> {
    take_callback(
        arguments,
        "on_reject",
        "the premier::Error, as in `on_reject = |error| …`",
    )
}

/// Takes `settle = |output| units`.
pub(crate) fn take_settle(arguments: &mut Arguments) -> Option<Expr> {
    take_callback(
        arguments,
        "settle",
        "a reference to the output, as in `settle = |output| …`",
    )
}

pub(crate) fn check_callback(callee: &Expr, name: &str, argument: &str) -> Result<()> {
    let Expr::Closure(closure) = peel(callee) else {
        return Ok(());
    };
    if let Some(word) = &closure.asyncness {
        return Err(Error::new(
            <Token![async] as Spanned>::span(word),
            "an async closure cannot be used here",
        ));
    }
    if closure.inputs.len() != 1 {
        return Err(Error::new_spanned(
            closure,
            format!("{name} takes one argument, {argument}"),
        ));
    }
    check_no_exits(&closure.body, name)
}

/// Checks that the body of a closure contains neither `return` nor `?`: the body is inserted into
/// the function, so they would leave the function instead of the closure.
pub(super) fn check_no_exits(body: &Expr, what: &str) -> Result<()> {
    let mut find = FindExit(None);
    find.visit_expr_mut(&mut body.clone());
    match find.0 {
        Some(span) => Err(Error::new(
            span,
            format!(
                "`return` and `?` cannot be used in {what}: make it a function and name it here"
            ),
        )),
        None => Ok(()),
    }
}

/// Finds the first `return` or `?` that is not in a nested closure, async block or item.
struct FindExit(Option<Span>);

impl FindExit {
    fn found(&mut self, span: Span) {
        self.0.get_or_insert(span);
    }
}

impl VisitMut for FindExit {
    fn visit_expr_async_mut(&mut self, _: &mut syn::ExprAsync) {}

    fn visit_expr_closure_mut(&mut self, _: &mut ExprClosure) {}

    fn visit_item_mut(&mut self, _: &mut syn::Item) {}

    fn visit_expr_return_mut(&mut self, exit: &mut syn::ExprReturn) {
        self.found(exit.return_token.span());
    }

    fn visit_expr_try_mut(&mut self, exit: &mut syn::ExprTry) {
        self.found(exit.question_token.span());
    }

    fn visit_macro_mut(&mut self, inside: &mut syn::Macro) {
        if let Some(span) = exit_in_tokens(inside.tokens.clone()) {
            self.found(span);
        }
    }
}

fn exit_in_tokens(tokens: TokenStream) -> Option<Span> {
    // `?` ends an expression. Elsewhere it is a sigil, as in `warn!(error = ?error)`.
    let mut ends_expression = false;
    tokens.into_iter().find_map(|token| {
        let after_expression =
            std::mem::replace(&mut ends_expression, !matches!(token, TokenTree::Punct(_)));
        match token {
            TokenTree::Ident(word) if word == "return" => Some(word.span()),
            TokenTree::Punct(mark) if mark.as_char() == '?' => {
                ends_expression = after_expression;
                after_expression.then(|| mark.span())
            }
            TokenTree::Group(group) => exit_in_tokens(group.stream()),
            _ => None,
        }
    })
}
