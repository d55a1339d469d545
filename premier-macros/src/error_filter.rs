//! Which errors count: `on = PATTERN` or `when = |error| bool`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{Expr, Pat};

use crate::arguments::{Arguments, Errors, Value};
use crate::key;

/// Over the error of the function, by reference.
pub(crate) enum ErrorFilter {
    All,
    Pattern(Pat, Option<Expr>),
    Predicate(Expr),
}

impl ErrorFilter {
    pub(crate) fn take(given: &mut Arguments, errors: &mut Errors) -> Self {
        let pattern = given.take("on").and_then(|on| match on.value {
            Value::Pattern(pattern, guard) => Some((pattern, guard)),
            _ => {
                errors.at(
                    on.name.span(),
                    "expected a pattern over the error, as in `on = AppError::Timeout | AppError::Busy(_)`",
                );
                None
            }
        });
        let predicate = given.expr("when", errors);
        match (pattern, predicate) {
            (Some(_), Some((name, _))) => {
                errors.at(
                    name.span(),
                    "`when` cannot be given together with `on`: both say which errors count",
                );
                Self::All
            }
            (Some((pattern, guard)), None) => Self::Pattern(pattern, guard),
            (None, Some((_, predicate))) => {
                errors.keep(key::check_callback(
                    &predicate,
                    "when",
                    "a reference to the error, as in `when = |error| …`",
                ));
                Self::Predicate(predicate)
            }
            (None, None) => Self::All,
        }
    }

    /// Whether the error, an expression of type `&E`, counts.
    pub(crate) fn matches(&self, error: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        match self {
            Self::All => quote_spanned!(span=> true),
            Self::Pattern(pattern, guard) => {
                let guard = guard.as_ref().map(|guard| quote_spanned!(span=> if #guard));
                quote_spanned! {span=>
                    {
                        #[allow(unreachable_patterns, unused_variables)]
                        let __premier_counts = match #error {
                            #pattern #guard => true,
                            _ => false,
                        };
                        __premier_counts
                    }
                }
            }
            Self::Predicate(predicate) => key::call(predicate, error),
        }
    }
}
