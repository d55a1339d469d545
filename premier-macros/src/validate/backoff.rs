//! The delays between the attempts of a retried call.

use syn::{Error, Expr, LitStr};

use super::checked::{Checked, Nanos};
use super::values::duration;
use crate::parse::errors::Errors;
use crate::parse::literal::{Literal, literal, peel};

const STRATEGIES: &str = "\"fixed\", \"linear\", \"expo\", \"fibonacci\", a list of delays as in `[1, 2, 4]`, or a function `u32 -> Duration`";
const JITTERS: &str = "\"none\", \"full\", \"equal\", \"decorrelated\"";

/// How delays grow.
pub(crate) enum Strategy {
    /// A variant of the runtime's `Strategy`.
    Variant(&'static str),
    Delays(Vec<Checked<Nanos>>),
    Function(Expr),
}

impl Strategy {
    /// Returns whether the rules for all values have been checked.
    pub(crate) fn is_checked(&self) -> bool {
        match self {
            Self::Variant(_) | Self::Function(_) => true,
            Self::Delays(delays) => delays.iter().all(|delay| delay.literal().is_some()),
        }
    }
}

/// Checks `strategy`: a name, a list of delays or a function.
pub(crate) fn check_strategy(expr: &Expr, errors: &mut Errors) -> Option<Strategy> {
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
                return None;
            }
        };
        return Some(Strategy::Variant(variant));
    }
    if let Expr::Closure(closure) = peel(expr)
        && closure.inputs.len() != 1
    {
        errors.push(Error::new_spanned(
            closure,
            "strategy takes one argument, the number of the retry, as in `strategy = |n| …`",
        ));
        return None;
    }
    let Expr::Array(list) = peel(expr) else {
        return Some(Strategy::Function(expr.clone()));
    };
    if list.elems.is_empty() {
        errors.push(Error::new_spanned(
            expr,
            "the list of delays is empty: give at least one, as in `[1, 2, 4]`",
        ));
    }
    let delays = list.elems.iter();
    Some(Strategy::Delays(
        delays.filter_map(|delay| duration(delay, errors)).collect(),
    ))
}

/// Checks `factor`, a number of at least 1.
pub(crate) fn check_factor(expr: &Expr, errors: &mut Errors) -> Option<Checked<f64>> {
    let factor = match literal(expr) {
        None => return Some(Checked::Runtime(expr.clone())),
        Some(
            Literal::Whole {
                digits, negative, ..
            }
            | Literal::Fraction {
                digits, negative, ..
            },
        ) => digits
            .parse::<f64>()
            .ok()
            .filter(|factor| *factor >= 1.0 && factor.is_finite() && !negative),
        Some(Literal::Text(_) | Literal::Suffixed { .. } | Literal::Other) => None,
    };
    if factor.is_none() {
        errors.push(Error::new_spanned(
            expr,
            "factor must be a number of at least 1: delays do not shrink",
        ));
    }
    factor.map(Checked::Literal)
}

/// Checks `jitter`, a name.
pub(crate) fn check_jitter(expr: &Expr, errors: &mut Errors) -> Option<Checked<LitStr>> {
    match literal(expr) {
        None => Some(Checked::Runtime(expr.clone())),
        Some(Literal::Text(text)) => match text.value().as_str() {
            "none" | "full" | "equal" | "decorrelated" => Some(Checked::Literal(text)),
            other => {
                errors.push_at(
                    text.span(),
                    format!("unknown jitter {other:?}: expected one of {JITTERS}"),
                );
                None
            }
        },
        Some(_) => {
            errors.push(Error::new_spanned(
                expr,
                format!("expected one of {JITTERS}"),
            ));
            None
        }
    }
}
