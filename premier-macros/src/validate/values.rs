//! Numbers and durations.

use syn::{Error, Expr, Result};

use super::checked::{Checked, Nanos};
use crate::parse::errors::Errors;
use crate::parse::literal::{Literal, literal};

/// Checks a whole number: a literal must obey `check`, which gets saturated values.
pub(super) fn whole(
    name: &str,
    expr: &Expr,
    check: impl FnOnce(u128) -> std::result::Result<u64, String>,
) -> Result<Checked<u64>> {
    match literal(expr) {
        None => Ok(Checked::Runtime(expr.clone())),
        Some(Literal::Whole {
            digits,
            negative: false,
            span,
        }) => {
            let number = digits.parse().unwrap_or(u128::MAX);
            check(number)
                .map(Checked::Literal)
                .map_err(|message| Error::new(span, message))
        }
        Some(Literal::Whole { negative: true, .. }) => Err(Error::new_spanned(
            expr,
            format!("{name} must not be negative"),
        )),
        Some(Literal::Suffixed { text, span }) => Err(Error::new(
            span,
            format!(
                "{name} must be a whole number, and `{text}` has a suffix: write all its digits"
            ),
        )),
        Some(_) => Err(Error::new_spanned(
            expr,
            format!("{name} must be a whole number"),
        )),
    }
}

/// Checks a whole number of at least 1.
pub(crate) fn positive(name: &str, expr: &Expr, errors: &mut Errors) -> Option<Checked<u64>> {
    errors.keep(whole(name, expr, |number| match u64::try_from(number) {
        Ok(number @ 1..) => Ok(number),
        Ok(0) => Err(format!("{name} must be at least 1")),
        Err(_) => Err(format!("{name} is too large")),
    }))
}

/// Checks a number of units, which may be 0.
pub(crate) fn units(name: &str, expr: &Expr, errors: &mut Errors) -> Option<Checked<u64>> {
    errors.keep(whole(name, expr, |units| {
        u64::try_from(units).map_err(|_| format!("{name} is too large"))
    }))
}

/// Checks the cost of a call, which may be 0.
pub(crate) fn cost(expr: &Expr, errors: &mut Errors) -> Option<Checked<u64>> {
    units("cost", expr, errors)
}

/// Checks the number of attempts.
pub(crate) fn attempts(expr: &Expr, errors: &mut Errors) -> Option<Checked<u64>> {
    errors.keep(whole("max", expr, |max| match u64::try_from(max) {
        Ok(max @ 1..=0xffff_ffff) => Ok(max),
        Ok(0) => Err("max must be at least 1: it counts the first attempt".into()),
        _ => Err("max is too large: at most 4,294,967,295 attempts".into()),
    }))
}

/// Checks a share of all: more than 0 and at most 1.
pub(crate) fn share(name: &str, expr: &Expr, errors: &mut Errors) -> Option<Checked<f64>> {
    let checked = match literal(expr) {
        None => Ok(Checked::Runtime(expr.clone())),
        Some(
            Literal::Whole {
                digits,
                negative: false,
                ..
            }
            | Literal::Fraction {
                digits,
                negative: false,
                ..
            },
        ) => match digits.parse() {
            Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(Checked::Literal(fraction)),
            _ => Err(()),
        },
        Some(_) => Err(()),
    };
    errors.keep(checked.map_err(|()| {
        Error::new_spanned(
            expr,
            format!("{name} must be a number above 0 and at most 1, as in `{name} = 0.5`"),
        )
    }))
}

/// Checks a duration: a string with a unit, a number of seconds, or another expression.
pub(crate) fn duration(expr: &Expr, errors: &mut Errors) -> Option<Checked<Nanos>> {
    errors.keep(parse_duration(expr))
}

/// Checks a duration longer than zero. `what` names the duration in the message.
pub(crate) fn positive_duration(
    what: &str,
    expr: &Expr,
    errors: &mut Errors,
) -> Option<Checked<Nanos>> {
    let duration = duration(expr, errors)?;
    if let Checked::Literal(Nanos(0)) = duration {
        errors.push(Error::new_spanned(
            expr,
            format!("{what} must be longer than zero"),
        ));
    }
    Some(duration)
}

pub(super) fn parse_duration(expr: &Expr) -> Result<Checked<Nanos>> {
    let parsed = match literal(expr) {
        None => return Ok(Checked::Runtime(expr.clone())),
        Some(Literal::Text(text)) => premier_parse::parse_duration(&text.value()),
        Some(Literal::Whole { negative: true, .. } | Literal::Fraction { negative: true, .. }) => {
            Err("a duration must not be negative".into())
        }
        Some(Literal::Whole { digits, .. } | Literal::Fraction { digits, .. }) => {
            premier_parse::parse_seconds(&digits)
        }
        Some(Literal::Suffixed { text, .. }) if text.starts_with('-') => {
            Err("a duration must not be negative".into())
        }
        Some(Literal::Suffixed { text, .. }) => Err(format!(
            "a duration with a unit is a string: write \"{text}\""
        )),
        Some(Literal::Other) => Err(
            "expected a duration: a string with a unit, as in \"5s\", or a number of seconds"
                .into(),
        ),
    };
    parsed
        .map(|nanos| Checked::Literal(Nanos(nanos)))
        .map_err(|message| Error::new_spanned(expr, message))
}
