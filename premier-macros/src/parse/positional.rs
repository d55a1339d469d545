//! A first argument without a name, as in `#[timeout(60)]`.

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Result, Token};

use super::invocation::Invocation;

/// Splits the arguments into a first expression without a name, if there is one, and the rest.
pub(crate) fn split_positional(invocation: Invocation) -> Result<(Option<Expr>, Invocation)> {
    let (first, arguments) = split.parse2(invocation.arguments)?;
    let rest = Invocation {
        arguments,
        ..invocation
    };
    Ok((first, rest))
}

fn split(input: ParseStream<'_>) -> Result<(Option<Expr>, TokenStream)> {
    let named = input.peek(Ident) && (input.peek2(Token![=]) && !input.peek2(Token![==]))
        || input.peek(Token![crate]) && input.peek2(Token![=])
        || is_result_flag(input)
        || input.is_empty();
    let first = if named { None } else { Some(input.parse()?) };
    if first.is_some() && !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok((first, input.parse()?))
}

fn is_result_flag(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.parse::<Ident>().is_ok_and(|word| word == "result")
        && (ahead.is_empty() || ahead.peek(Token![,]))
}
