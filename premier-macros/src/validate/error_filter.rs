//! The errors that an attribute reacts to.

use super::callback::check_callback;
use crate::parse::arguments::Arguments;
use crate::parse::error_filter::ErrorFilter;

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
        (Some((pattern, guard)), None) => ErrorFilter::Pattern(pattern, guard),
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
