//! What is emitted after an error.

use std::iter;

use proc_macro2::TokenStream;
use quote::ToTokens;

use super::arguments::named_body;
use super::crate_path::default_crate_path;
use super::expansion::{Expansion, Layer};
use super::function::{Changes, function_with};
use super::stack::{AttributeMacro, FALLBACK, Stripped, declared_result, strip, use_marks};
use crate::parse::function::Function;
use crate::parse::words::contains_word;
use crate::validate::function::{check_function_kind, check_future_may_borrow};

/// Returns the item without premier's attributes, but with the output that it would have with them: the
/// error stays the only one, callers of the function have none, and editors keep working. An item that is
/// not a function is returned unchanged.
pub(super) fn recovered(
    item: TokenStream,
    attribute: &'static AttributeMacro,
    arguments: &TokenStream,
    attributes: &'static [AttributeMacro],
) -> TokenStream {
    let Ok(mut function) = syn::parse2::<Function>(item.clone()) else {
        return item;
    };
    let stripped = strip(&mut function, attributes);
    let is_result = declared_result(arguments, &stripped).unwrap_or_default();
    // Declared in any case, so that the compiler does not compare the name with the type.
    function.declared_result = is_result.or_else(|| Some(function.yields_result()));
    let items = use_marks(&stripped);
    let below = stripped
        .iter()
        .map(|Stripped { attribute, meta }| (*attribute, meta.to_token_stream()));
    let can_reject = iter::once((attribute, arguments.clone()))
        .chain(below)
        // What fails below a fallback does not reach the caller.
        .take_while(|(attribute, _)| attribute.name != FALLBACK)
        .any(|(attribute, arguments)| can_reject(attribute, &arguments));
    let layers: [Box<dyn Layer>; 1] = [Box::new(OutputOnly(default_crate_path()))];
    if can_reject
        && check_function_kind(&function).is_ok()
        && check_future_may_borrow(&function).is_ok()
        && let Ok(expansion) = Expansion::new(&function, &layers)
    {
        return expansion.assemble(items);
    }
    function_with(
        &function,
        Changes {
            items,
            body: named_body(&function, false),
            ..Changes::default()
        },
    )
}

/// Whether an attribute with these arguments, valid or not, adds an error to the output.
fn can_reject(attribute: &AttributeMacro, arguments: &TokenStream) -> bool {
    attribute.can_reject && !contains_word(arguments.clone(), "on_reject")
}

/// A layer that does nothing but change the output.
struct OutputOnly(TokenStream);

impl Layer for OutputOnly {
    fn crate_path(&self) -> &TokenStream {
        &self.0
    }

    fn can_reject(&self) -> bool {
        true
    }

    fn wrap(&self, _: &Expansion<'_>, _: usize, inner: &TokenStream) -> TokenStream {
        inner.clone()
    }
}
