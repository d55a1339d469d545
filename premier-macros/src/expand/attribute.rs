//! The expansion of one attribute macro: parse, validate, expand.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use super::expansion::Expansion;
use super::recovery::recovered;
use super::stack::{self, AttributeMacro, declared_result, is_use_mark, strip, use_marks};
use crate::parse::function::Function;
use crate::validate::function::{check_function_kind, check_future_may_borrow};

/// Expands an attribute together with all others of premier's on the item. `attributes` is the
/// list of all attribute macros.
pub(crate) fn expand_attribute(
    attribute: &'static AttributeMacro,
    attributes: &'static [AttributeMacro],
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    if is_use_mark(&arguments) {
        return TokenStream::new();
    }
    let expanded = expand_item(attribute, attributes, arguments.clone(), item.clone());
    expanded.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        let item = recovered(item, attribute, &arguments, attributes);
        quote!(#error #item)
    })
}

fn expand_item(
    attribute: &'static AttributeMacro,
    attributes: &'static [AttributeMacro],
    arguments: TokenStream,
    item: TokenStream,
) -> Result<TokenStream> {
    let mut function: Function = syn::parse2(item)?;
    check_function_kind(&function)?;
    check_future_may_borrow(&function)?;
    let stripped = strip(&mut function, attributes);
    function.declared_result = declared_result(&arguments, &stripped)?;
    let items = use_marks(&stripped);
    let layers = stack::layers(attribute, arguments, stripped, &function)?;
    let expansion = Expansion::new(&function, &layers)?;
    Ok(expansion.assemble(items))
}
