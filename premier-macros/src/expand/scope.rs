//! Closures and async blocks around the code that a layer encloses: a `return` in that code leaves
//! only the closure or the block.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Type;

use super::expansion::Expansion;
use crate::parse::parameter::PassMode;
use crate::parse::shape::Shape;

impl Expansion<'_> {
    /// Returns an expression that runs `inner` and yields the output, for the layer at `index`.
    pub(crate) fn scope(&self, inner: &TokenStream, index: usize) -> TokenStream {
        self.scope_yielding(inner, self.nameable_output(), index)
    }

    /// Returns the expression of [`Expansion::scope`], for code that yields another output.
    pub(super) fn scope_yielding(
        &self,
        inner: &TokenStream,
        output: Option<&Type>,
        index: usize,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let block = self.block_yielding(inner, output, index);
        if self.function.is_async() {
            return quote_spanned!(span=> (#block).await);
        }
        let crate_path = self.layers[index].crate_path();
        quote_spanned!(span=> #crate_path::__private::once(#block))
    }

    /// Returns a closure that runs `inner` or, in async functions, a future that does.
    pub(crate) fn block(&self, inner: &TokenStream, index: usize) -> TokenStream {
        self.block_yielding(inner, self.nameable_output(), index)
    }

    fn block_yielding(
        &self,
        inner: &TokenStream,
        output: Option<&Type>,
        index: usize,
    ) -> TokenStream {
        let span = Span::mixed_site();
        // A block that runs again must not consume `self`. Everything else is moved in: a
        // reference held across an await needs `T: Sync` for a `Send` future, a value only
        // `T: Send`.
        let keeps_self = self.is_re_run(index) && self.keeps_self();
        let (moved, arguments) = if keeps_self {
            (TokenStream::new(), self.move_arguments())
        } else {
            (quote_spanned!(span=> move), TokenStream::new())
        };
        if !self.function.is_async() {
            let ascription = output.map(|output| quote_spanned!(span=> -> #output));
            return quote_spanned!(span=> #moved || #ascription { #arguments #inner });
        }
        let inner = match output {
            Some(output) if !is_unit(output) => typed(inner, output),
            _ => inner.clone(),
        };
        quote_spanned!(span=> async #moved { #arguments #inner })
    }

    /// Returns whether a block that runs again has to leave `self` in the function.
    fn keeps_self(&self) -> bool {
        !matches!(self.function.receiver, None | Some(PassMode::Shared)) && !self.renames_self()
    }

    /// Returns whether each attempt gets a variable of its own in place of `self`: a clone of a
    /// receiver by value, or the reference that `#[async_trait]` would move into its future.
    pub(super) fn renames_self(&self) -> bool {
        match self.function.receiver {
            Some(PassMode::Value) => true,
            Some(PassMode::Exclusive) => self.function.shape == Shape::BoxedBlock,
            _ => false,
        }
    }

    /// Moves all arguments but `self` into a block that is not `move`.
    fn move_arguments(&self) -> TokenStream {
        let span = Span::mixed_site();
        self.function
            .parameters
            .iter()
            .filter(|parameter| parameter.ty.is_some())
            .map(|parameter| {
                let (cfg_attrs, name) = (&parameter.cfg_attrs, &parameter.name);
                quote_spanned! {span=>
                    #(#cfg_attrs)*
                    #[allow(unused_variables, clippy::used_underscore_binding)]
                    let #name = #name;
                }
            })
            .collect()
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
        let __premier_output: #output = { #inner };
        #[allow(unreachable_code)]
        __premier_output
    }
}

fn is_unit(output: &Type) -> bool {
    matches!(output, Type::Tuple(tuple) if tuple.elems.is_empty())
        || quote!(#output).to_string() == "()"
}
