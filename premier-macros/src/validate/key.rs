//! Keys, and expressions that must not depend on the arguments of a call.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, LitStr, Pat, Result, Type};

use super::callback::check_no_exits;
use crate::parse::errors::Errors;
use crate::parse::format::placeholders;
use crate::parse::function::Function;
use crate::parse::key::{Key, KeyArgs};
use crate::parse::literal::{Literal, literal};
use crate::parse::types::{is_borrowed, last_segment, referent};

/// Checks `key` and `keymaker`, of which at most one may be given.
pub(crate) fn check_key(
    KeyArgs { key, keymaker }: KeyArgs,
    function: &Function,
    errors: &mut Errors,
) -> Option<Key> {
    match (key, keymaker) {
        (Some(_), Some((name, _))) => {
            errors.push_at(
                name.span(),
                "`keymaker` cannot be given together with `key`: both say what the key is",
            );
            None
        }
        (Some((_, key)), None) => {
            let key = Key::from_key(key);
            if let Key::Format(text) = &key {
                errors.keep(check_format(text));
            }
            Some(key)
        }
        (None, Some((_, keymaker))) => errors.keep(check_keymaker(keymaker, function)),
        (None, None) => None,
    }
}

/// Checks that a format string names arguments only. The compiler would advise to add an argument to
/// the macro call, which the user does not see.
fn check_format(text: &LitStr) -> Result<()> {
    let format = text.value();
    let arguments = placeholders(&format);
    let is_expression = |argument: &str| {
        syn::parse_str::<Expr>(argument)
            .is_ok_and(|expr| !matches!(expr, Expr::Path(_) | Expr::Lit(_)))
    };
    let Some(expression) = arguments
        .iter()
        .map(|argument| &format[argument.clone()])
        .find(|argument| is_expression(argument))
    else {
        return Ok(());
    };
    if format == format!("{{{expression}}}") {
        return Err(Error::new(
            text.span(),
            format!("a format string can only name arguments: write `key = {expression}`"),
        ));
    }
    let (mut positional, mut expressions) = (format.clone(), Vec::new());
    for argument in arguments.into_iter().rev() {
        if is_expression(&format[argument.clone()]) {
            positional.replace_range(argument.clone(), "");
            expressions.insert(0, &format[argument]);
        }
    }
    Err(Error::new(
        text.span(),
        format!(
            "a format string can only name arguments: write `key = format_args!({positional:?}, {})`",
            expressions.join(", "),
        ),
    ))
}

fn check_keymaker(keymaker: Expr, function: &Function) -> Result<Key> {
    if let Some(Literal::Text(text)) = literal(&keymaker) {
        return Err(Error::new_spanned(
            text,
            "keymaker is a function over the arguments: for a format string use `key = \"…\"`",
        ));
    }
    let key = Key::from_keymaker(keymaker);
    if let Key::Closure(closure) = &key {
        check_arity(closure, function)?;
        check_no_exits(&closure.body, "a keymaker")?;
    }
    Ok(key)
}

fn check_arity(closure: &ExprClosure, function: &Function) -> Result<()> {
    let (takes, has) = (closure.inputs.len(), function.parameters.len());
    if takes == has {
        return Ok(());
    }
    let names: Vec<String> = function
        .parameters
        .iter()
        .map(|parameter| match &parameter.pattern {
            Some(pattern) => pattern.to_token_stream().to_string(),
            None => parameter.name.to_string(),
        })
        .collect();
    let span = closure
        .inputs
        .first()
        .map_or(closure.inputs_begin.span(), Pat::span);
    Err(Error::new(
        span,
        format!(
            "the keymaker takes {takes} argument{}, the function has {has}: it gets a reference to each of ({})",
            if takes == 1 { "" } else { "s" },
            names.join(", "),
        ),
    ))
}

/// Checks that the arguments of the function alone determine what the function returns, so that
/// they can be the key of a cache.
pub(crate) fn check_default_cache_key(function: &Function, errors: &mut Errors) {
    if let Some(receiver) = function.signature.receiver() {
        errors.push_at(
            receiver.self_token.span(),
            "#[cache] on a method needs `key = …`: two values of `Self` would share the cached values",
        );
    }
    for ty in function
        .parameters
        .iter()
        .filter_map(|parameter| parameter.ty.as_ref())
    {
        if is_borrowed(referent(ty)) && !is_cow(referent(ty)) {
            errors.push(Error::new_spanned(
                ty,
                "an argument that borrows cannot be part of a cache's key, which outlives the call: give `key = …` over what matters",
            ));
        }
    }
}

/// Whether the type may be `Cow<'_, str>`, which is text.
fn is_cow(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|last| last.ident == "Cow")
}

/// Checks that an expression that is evaluated once for all calls names no argument of a call.
pub(crate) fn check_independent(expr: &impl ToTokens, function: &Function, errors: &mut Errors) {
    let names: Vec<String> = function
        .parameters
        .iter()
        .map(|parameter| parameter.name.to_string())
        .collect();
    if let Some(word) = find_name(expr.to_token_stream(), &names) {
        errors.push_at(
            word.span(),
            format!(
                "`{word}` is an argument of a call, and this is evaluated once for all calls; only `key`, `keymaker` and `cost` see the arguments"
            ),
        );
    }
}

/// Finds the first of `names` that is neither a field nor a segment of a longer path.
fn find_name(tokens: TokenStream, names: &[String]) -> Option<Ident> {
    let mut after_path_or_dot = false;
    tokens.into_iter().find_map(|token| {
        let is_continuation = std::mem::replace(
            &mut after_path_or_dot,
            matches!(&token, TokenTree::Punct(mark) if mark.as_char() == '.' || mark.as_char() == ':'),
        );
        match token {
            TokenTree::Ident(word) if !is_continuation && names.contains(&word.to_string()) => {
                Some(word)
            }
            TokenTree::Group(group) => find_name(group.stream(), names),
            _ => None,
        }
    })
}
