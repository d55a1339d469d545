//! The emitted function: the body of the user within all layers.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ReturnType;
use syn::spanned::Spanned;

use super::arguments::{capture, named_body, named_boxed_block};
use super::crate_path::respan;
use super::expansion::Expansion;
use super::function::{Changes, function_with};
use crate::parse::shape::Shape;
use crate::parse::types::{in_body, infer_lifetimes, is_nameable, last_segment};

impl Expansion<'_> {
    /// Emits the function. `items` are put before its body.
    pub(super) fn assemble(&self, items: TokenStream) -> TokenStream {
        let (check, body) = (self.check_wrapped(), self.body());
        let re_runs_body = self.layers.iter().any(|layer| layer.re_runs_body());
        function_with(
            self.function,
            Changes {
                items,
                body: quote!(#check #body),
                output: self.wrapped.as_ref(),
                clones_arguments: re_runs_body,
                without_mut_self: re_runs_body && self.renames_self(),
            },
        )
    }

    /// Returns a statement that only compiles if an output that is wrapped is not a `Result`, unless the
    /// user has declared it.
    fn check_wrapped(&self) -> Option<TokenStream> {
        let output = &self.function.output;
        // Only a path can be a `Result` of another name.
        last_segment(output)?;
        if self.wrapped.is_none() || self.function.declared_result.is_some() || !is_nameable(output)
        {
            return None;
        }
        let span = output.span().resolved_at(Span::mixed_site());
        let crate_path = respan(self.layers[0].crate_path(), span);
        let output = respan(&output.to_token_stream(), span);
        Some(quote_spanned! {span=>
            {
                #[allow(unused_imports)]
                use #crate_path::__private::{WrapOther as _, WrapResult as _};
                let __premier_found =
                    (&#crate_path::__private::OutputType::<#output>::new()).premier_found();
                #crate_path::bounds::NoResult::check(__premier_found);
            }
        })
    }

    fn body(&self) -> TokenStream {
        match self.function.shape {
            Shape::Sync | Shape::Async => self.layered(),
            // The body runs in the future, so that nothing of it runs before the call is admitted.
            Shape::BoxedBlock | Shape::Future | Shape::BoxedFuture => {
                self.boxed(&self.async_block())
            }
        }
    }

    fn async_block(&self) -> TokenStream {
        // The compiler reports at the block what it captures against the return type. Attributes below
        // give the span of the braces to variables that they add, so it resolves as the body does.
        let returned = self.function.signature.output.span();
        let span = returned.resolved_at(Span::mixed_site());
        let parameters = self.function.parameters.iter();
        // A future that is never polled drops what it has captured. `#[async_trait]` captures in this order.
        let captures = match self.function.shape {
            Shape::BoxedBlock => capture(parameters),
            _ => capture(parameters.rev()),
        };
        let layered = self.layered();
        let mut block = Group::new(Delimiter::Brace, quote!(#captures #layered));
        block.set_span(returned.resolved_at(self.function.body.span()));
        quote_spanned!(span=> async move #block)
    }

    /// Boxes the future, unless the function returns `impl Future`.
    fn boxed(&self, future: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        match self.function.shape {
            Shape::Future => future.clone(),
            _ => {
                let crate_path = self.layers[0].crate_path();
                quote_spanned!(span=> #crate_path::__private::Box::pin(#future))
            }
        }
    }

    /// Returns the code of the user within all layers.
    fn layered(&self) -> TokenStream {
        let innermost = self.at(self.layers.len());
        let (before, body) = (innermost.before_body(), innermost.innermost());
        let mut code = quote!(#before #body);
        for (index, layer) in self.layers.iter().enumerate().rev() {
            code = layer.wrap(self.at(index), index, &code);
        }
        match self.declare_ending() {
            Some(declaration) => quote!(#declaration #code),
            None => code,
        }
    }

    /// Returns the code of the user, which yields `Ok` if the output is wrapped.
    fn innermost(&self) -> TokenStream {
        let body = match self.function.shape {
            Shape::Sync | Shape::Async => {
                let is_enclosed =
                    self.wrapped.is_some() || self.layers.iter().any(|layer| layer.encloses_body());
                named_body(self.function, is_enclosed)
            }
            Shape::BoxedBlock => named_boxed_block(self.function),
            Shape::Future | Shape::BoxedFuture => {
                let future = self.made_future();
                return self.awaited_output(&future);
            }
        };
        if self.wrapped.is_none() {
            return body;
        }
        let output = in_body(&self.function.output);
        let scope = self.scope_yielding(&body, output.as_ref(), self.layers.len() - 1);
        let span = Span::mixed_site();
        if self.function.yields_unit() {
            // `Ok(scope)` would trip lints against passing a unit value.
            return quote_spanned!(span=> { #scope; } ::core::result::Result::Ok(()));
        }
        quote_spanned!(span=> ::core::result::Result::Ok(#scope))
    }

    /// Runs the body of a function that returns a future. The expression yields the future.
    fn made_future(&self) -> TokenStream {
        let span = Span::mixed_site();
        let body = named_body(self.function, true);
        let crate_path = self.layers[0].crate_path();
        let ascription = match &self.function.signature.output {
            ReturnType::Type(_, returned) if self.function.shape == Shape::BoxedFuture => {
                let mut returned = in_body(returned);
                // An attempt that is repeated borrows for less than a named lifetime.
                returned.iter_mut().for_each(infer_lifetimes);
                quote_spanned!(span=> -> #returned)
            }
            _ => TokenStream::new(),
        };
        quote_spanned!(span=> #crate_path::__private::once(move || #ascription { #body }))
    }

    /// Awaits the future of the user, and wraps its output where the output is wrapped.
    fn awaited_output(&self, future: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        match &self.wrapped {
            Some(_) => quote_spanned!(span=> ::core::result::Result::Ok(#future.await)),
            None => quote_spanned!(span=> #future.await),
        }
    }
}
