//! What is emitted after an error.

use proc_macro2::TokenStream;

use super::arguments::named_body;
use super::function::{Changes, function_with};
use super::stack::{AttributeMacro, strip, use_marks};
use crate::parse::function::Function;

/// Returns the item without premier's attributes, so that the error stays the only one and editors
/// keep working. An item that is not a function is returned unchanged.
pub(super) fn fallback(item: TokenStream, attributes: &'static [AttributeMacro]) -> TokenStream {
    let Ok(mut function) = syn::parse2::<Function>(item.clone()) else {
        return item;
    };
    let stripped = strip(&mut function, attributes);
    function_with(
        &function,
        Changes {
            items: use_marks(&stripped),
            body: named_body(&function),
            ..Changes::default()
        },
    )
}
