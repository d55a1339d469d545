//! The arguments of `#[retry]` and their rules.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, Expr, Result};

use super::Retry;
use crate::arguments::{Arguments, Errors, Literal, duration, literal, peel, whole};
use crate::error_filter::ErrorFilter;
use crate::key;

const KNOWN: &str =
    "strategy, max, base, factor, max_delay, max_elapsed, jitter, on, when, on_retry, name, crate";
const STRATEGIES: &str = "\"fixed\", \"linear\", \"expo\", \"fibonacci\", a list of delays as in `[1, 2, 4]`, or a function `u32 -> Duration`";
const JITTERS: &str = "\"none\", \"full\", \"equal\", \"decorrelated\"";

pub(super) fn parse(tokens: TokenStream) -> Result<Retry> {
    let mut errors = Errors::default();
    let errors_ref = &mut errors;
    let mut given = Arguments::parse("retry", KNOWN, tokens, errors_ref)?;
    let krate = given.krate(errors_ref);
    let mut spec = TokenStream::new();
    let (mut checked, mut is_timed) = (true, false);
    if let Some((_, expr)) = given.expr("strategy", errors_ref) {
        spec.extend(strategy(&expr, &krate, &mut checked, errors_ref));
    }
    if let Some((_, max)) = given.expr("max", errors_ref) {
        let number = errors_ref.keep(whole("max", &max, |max| match u64::try_from(max) {
            Ok(max @ 1..=0xffff_ffff) => Ok(max),
            Ok(0) => Err("max must be at least 1: it counts the first attempt".into()),
            _ => Err("max is too large: at most 4,294,967,295 attempts".into()),
        }));
        checked &= !matches!(number, Some(None));
        let max = match number.flatten() {
            Some(number) => quote!(#number),
            None => quote!(#max),
        };
        spec.extend(quote!(.max(#max)));
    }
    if let Some((_, expr)) = given.expr("factor", errors_ref) {
        spec.extend(factor(&expr, &mut checked, errors_ref));
    }
    for name in ["base", "max_delay", "max_elapsed"] {
        if let Some((name, expr)) = given.expr(name, errors_ref) {
            let (code, known) = duration(&expr, errors_ref);
            checked &= known;
            is_timed |= name == "max_elapsed";
            spec.extend(quote!(.#name(#code)));
        }
    }
    if let Some((_, expr)) = given.expr("jitter", errors_ref) {
        match literal(&expr) {
            Some(Literal::Text(text)) => match text.value().as_str() {
                "none" | "full" | "equal" | "decorrelated" => {}
                other => errors_ref.at(
                    text.span(),
                    format!("unknown jitter {other:?}: expected one of {JITTERS}"),
                ),
            },
            Some(_) => errors_ref.push(Error::new_spanned(
                &expr,
                format!("expected one of {JITTERS}"),
            )),
            None => checked = false,
        }
        spec.extend(quote!(.jitter(#expr)));
    }
    if let Some(name) = given.text("name", errors_ref) {
        spec.extend(quote!(.name(#name)));
    }
    let filter = ErrorFilter::take(&mut given, errors_ref);
    let on_retry = given.expr("on_retry", errors_ref).map(|(_, on_retry)| {
        errors_ref.keep(key::check_callback(
            &on_retry,
            "on_retry",
            "a reference to the premier::RetryEvent, as in `on_retry = |event| …`",
        ));
        on_retry
    });
    errors.or(Retry {
        spec,
        checked,
        is_timed,
        filter,
        on_retry,
        krate,
    })
}

fn strategy(
    expr: &Expr,
    krate: &TokenStream,
    checked: &mut bool,
    errors: &mut Errors,
) -> TokenStream {
    let span = Span::mixed_site();
    if let Some(literal) = literal(expr) {
        let name = match &literal {
            Literal::Text(text) => text.value(),
            _ => String::new(),
        };
        let variant = match name.as_str() {
            "fixed" => "Fixed",
            "linear" => "Linear",
            "expo" => "Expo",
            "fibonacci" => "Fibonacci",
            _ => {
                errors.push(Error::new_spanned(
                    expr,
                    format!("unknown strategy: expected one of {STRATEGIES}"),
                ));
                return TokenStream::new();
            }
        };
        let variant = Ident::new(variant, span);
        return quote_spanned!(span=> .strategy(#krate::__private::Strategy::#variant));
    }
    if let Expr::Array(list) = peel(expr) {
        if list.elems.is_empty() {
            errors.push(Error::new_spanned(
                expr,
                "the list of delays is empty: give at least one, as in `[1, 2, 4]`",
            ));
        }
        let delays = list.elems.iter().map(|delay| {
            let (code, known) = duration(delay, errors);
            *checked &= known;
            quote_spanned!(span=> #krate::__private::period(#code))
        });
        let delays: Vec<TokenStream> = delays.collect();
        return quote_spanned!(span=> .delays([#(#delays),*]));
    }
    quote_spanned!(span=> .function(#expr))
}

fn factor(expr: &Expr, checked: &mut bool, errors: &mut Errors) -> TokenStream {
    let least = "factor must be a number of at least 1: delays do not shrink";
    match literal(expr) {
        Some(
            Literal::Whole {
                digits, negative, ..
            }
            | Literal::Fraction {
                digits, negative, ..
            },
        ) => match digits.parse::<f64>() {
            Ok(factor) if factor >= 1.0 && factor.is_finite() && !negative => {
                quote!(.factor(#factor))
            }
            _ => {
                errors.push(Error::new_spanned(expr, least));
                TokenStream::new()
            }
        },
        Some(Literal::Text(_)) => {
            errors.push(Error::new_spanned(expr, least));
            TokenStream::new()
        }
        None => {
            *checked = false;
            quote!(.factor(#expr))
        }
    }
}
