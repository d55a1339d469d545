//! Closures and async blocks around the code that a layer encloses: a `return` in that code leaves
//! only the closure or the block.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Type;

use super::arguments::capture;
use super::expansion::Expansion;

impl Expansion<'_> {
    /// Returns an expression that runs `inner` and yields the output, for the layer at `index`.
    pub(crate) fn scope(&self, inner: &TokenStream, index: usize) -> TokenStream {
        self.scope_yielding(inner, self.output_in_body(), index)
    }

    /// Returns the expression of [`Expansion::scope`], for code that yields another output.
    pub(super) fn scope_yielding(
        &self,
        inner: &TokenStream,
        output: Option<&Type>,
        index: usize,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let block = self.block_yielding(inner, output);
        if self.function.is_async() {
            return quote_spanned!(span=> (#block).await);
        }
        let crate_path = self.layers[index].crate_path();
        quote_spanned!(span=> #crate_path::__private::once(#block))
    }

    /// Returns a closure that runs `inner` or, in async functions, a future that does.
    pub(crate) fn block(&self, inner: &TokenStream) -> TokenStream {
        self.block_yielding(inner, self.output_in_body())
    }

    fn block_yielding(&self, inner: &TokenStream, output: Option<&Type>) -> TokenStream {
        // Lints about the end of a function look at closures that the user wrote.
        let span = self.function.body.span();
        // The last argument is dropped first.
        let captures = capture(self.function.parameters.iter().rev());
        // Arguments are moved in: a reference held across an await needs `T: Sync` for a `Send`
        // future, a value only `T: Send`.
        if !self.function.is_async() {
            let ascription = output.map(|output| quote_spanned!(span=> -> #output));
            return quote_spanned!(span=> move || #ascription { #captures #inner });
        }
        let inner = match output {
            Some(output) if !is_unit(output) => typed(inner, output),
            _ => inner.clone(),
        };
        quote_spanned!(span=> async move { #captures #inner })
    }
}

/// Returns the inside of an async block that yields `output`. The compiler learns the type from
/// the dead `return`, and then coerces the values of the block as it does those of a function.
fn typed(inner: &TokenStream, output: &Type) -> TokenStream {
    let span = Span::mixed_site();
    quote_spanned! {span=>
        if let ::core::option::Option::Some(__premier_never) = ::core::option::Option::None::<#output> {
            return __premier_never;
        }
        #inner
    }
}

fn is_unit(output: &Type) -> bool {
    matches!(output, Type::Tuple(tuple) if tuple.elems.is_empty())
        || quote!(#output).to_string() == "()"
}
