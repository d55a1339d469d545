//! The function with another body.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::quote;
use syn::{FnArg, Meta, Signature, Type};

use super::output::replace_output;
use crate::parse::body::is_async_block;
use crate::parse::function::Function;
use crate::parse::shape::Shape;

/// How the emitted function differs from the one that the user wrote.
#[derive(Default)]
pub(super) struct Changes<'a> {
    /// Items to put before the body.
    pub(super) items: TokenStream,
    pub(super) body: TokenStream,
    /// The output, if it changes.
    pub(super) output: Option<&'a Type>,
    /// Whether each attempt clones the arguments that are passed by value.
    pub(super) clones_arguments: bool,
    /// Whether to take the `mut` off a receiver by value, because the body does not use `self`.
    pub(super) without_mut_self: bool,
}

/// Emits the function with these changes.
pub(super) fn function_with(function: &Function, changes: Changes<'_>) -> TokenStream {
    let Function {
        attributes,
        visibility,
        default,
        inner_attributes,
        ..
    } = function;
    let Changes {
        items,
        body,
        output,
        clones_arguments,
        without_mut_self,
    } = changes;
    let mut signature = function.signature.clone();
    if without_mut_self {
        remove_mut_self(&mut signature);
    }
    if let Some(output) = output {
        replace_output(&mut signature, function.shape, output);
    }
    // The new output is a `Result`, which is `must_use` already.
    let attributes = attributes.iter().filter(|attribute| {
        output.is_none()
            || !matches!(&attribute.meta, Meta::Path(path) if path.is_ident("must_use"))
    });
    // The documentation of the user's function cannot describe errors that only the attribute adds.
    let missing_errors = output.map(|_| quote!(#[allow(clippy::missing_errors_doc)]));
    // Clippy would take a clone of an argument for its only use.
    let clones_arguments =
        clones_arguments.then(|| quote!(#[allow(clippy::needless_pass_by_value)]));
    // The body of the user does more than to make an async block, so an `async fn` is no substitute.
    let async_block = (function.shape == Shape::Future && !is_async_block(&function.body))
        .then(|| quote!(#[allow(clippy::manual_async_fn)]));
    let quiet = quote!(#missing_errors #clones_arguments #async_block);
    let body = quote!(#inner_attributes #items #body);
    let mut group = Group::new(Delimiter::Brace, body);
    group.set_span(function.body.span());
    quote!(#(#attributes)* #quiet #visibility #default #signature #group)
}

fn remove_mut_self(signature: &mut Signature) {
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first_mut() {
        receiver.mutability = None;
    }
}
