//! The statement before the body by which tests delay calls or make them fail.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{GenericArgument, PathArguments, Type};

use super::expansion::Expansion;
use crate::parse::function::Function;
use crate::parse::types::{is_borrowed, is_nameable};
use crate::parse::words::contains_word;

impl Expansion<'_> {
    /// Returns a statement for the start of the body. It expands to nothing unless the runtime has its feature
    /// `testing`, which macros cannot know.
    pub(super) fn before_body(&self) -> TokenStream {
        let span = Span::mixed_site();
        let crate_path = self.layers[0].crate_path();
        let mode = if self.function.is_async() {
            "awaiting"
        } else {
            "blocking"
        };
        let mode = Ident::new(mode, span);
        // The error of an output that is wrapped is premier's.
        let can_fail = self.wrapped.is_some() || may_make_error(self.function);
        let output = self.output_in_body().filter(|_| can_fail);
        quote_spanned!(span=> #crate_path::__private::before_body! { #mode #output })
    }
}

/// Returns whether a test may make the error of the function: its type does not borrow, as far as the tokens show,
/// and a test can name it.
fn may_make_error(function: &Function) -> bool {
    let error = without_value(&function.output);
    let tokens = error.to_token_stream();
    let mut parameters = function.signature.generics.type_params();
    is_nameable(&error)
        && !is_borrowed(&error)
        && !contains_word(tokens.clone(), "Self")
        && !parameters.any(|parameter| contains_word(tokens.clone(), &parameter.ident.to_string()))
}

/// Returns the output without the `T` of `Result<T, E>` or `Result<T>`.
fn without_value(output: &Type) -> Type {
    let mut error = output.clone();
    if let Type::Path(path) = &mut error
        && let Some(last) = path.path.segments.last_mut()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(arguments) = &mut last.arguments
    {
        let is_type = |argument: &GenericArgument| matches!(argument, GenericArgument::Type(_));
        let mut values = 0;
        let others = arguments.args.iter().filter(|argument| {
            values += usize::from(is_type(argument));
            !is_type(argument) || values > 1
        });
        arguments.args = others.cloned().collect();
    }
    error
}
