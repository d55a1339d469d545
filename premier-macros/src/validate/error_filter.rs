//! The errors that an attribute reacts to.

use syn::{Ident, Pat};

use super::callback::check_callback;
use crate::parse::arguments::Arguments;
use crate::parse::error_filter::{ErrorFilter, matches_all};

/// Takes `on` or `when`, of which at most one may be given.
pub(crate) fn take_error_filter(arguments: &mut Arguments) -> ErrorFilter {
    let (on, when) = (arguments.on(), arguments.expr("when"));
    let errors = &mut arguments.errors;
    match (on, when) {
        (Some(_), Some((name, _))) => {
            errors.push_at(
                name.span(),
                "`when` cannot be given together with `on`: both say which errors count",
            );
            ErrorFilter::All
        }
        (Some((pattern, guard)), None) => {
            if guard.is_none()
                && let Some(name) = variable(&pattern)
            {
                errors.push_at(
                    name.span(),
                    format!("`{name}` would match every error: write a pattern, as in `on = MyError::Busy`, or leave `on` out"),
                );
            }
            ErrorFilter::Pattern(pattern, guard)
        }
        (None, Some((_, predicate))) => {
            errors.keep(check_callback(
                &predicate,
                "when",
                "a reference to the error, as in `when = |error| …`",
            ));
            ErrorFilter::Predicate(predicate)
        }
        (None, None) => ErrorFilter::All,
    }
}

/// Returns the variable by which a pattern matches every error.
fn variable(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(name) if matches_all(pattern) => Some(&name.ident),
        Pat::Or(or) => or.cases.iter().find_map(variable),
        Pat::Paren(inner) => variable(&inner.pat),
        Pat::Reference(inner) => variable(&inner.pat),
        _ => None,
    }
}
