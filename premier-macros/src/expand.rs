//! The whole stack of attributes, expanded once.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Result, Type};

use crate::function::{Function, Shape};
use crate::output::is_nameable;
use crate::stack::{self, Attribute, Layer};

/// Expands an attribute together with all others of premier's on the item. After an error the
/// item is emitted as it was, so that the error stays the only one and editors keep working.
pub(crate) fn expand(
    attribute: Attribute,
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    expand_stack(attribute, arguments, item.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        let item = fallback(item);
        quote!(#error #item)
    })
}

fn expand_stack(
    attribute: Attribute,
    arguments: TokenStream,
    item: TokenStream,
) -> Result<TokenStream> {
    let mut function: Function = syn::parse2(item)?;
    function.validate()?;
    let layers = stack::collect(attribute, arguments, &mut function)?;
    Ok(Expansion::new(&function, &layers).function())
}

/// The item without premier's attributes where they can be told apart, otherwise as it is.
fn fallback(item: TokenStream) -> TokenStream {
    let Ok(mut function) = syn::parse2::<Function>(item.clone()) else {
        return item;
    };
    // Their errors have been reported with this one's.
    let _ = stack::collect(Attribute::Throttle, TokenStream::new(), &mut function);
    let body = function.named_body();
    function.with_body(body, None)
}

struct Expansion<'a> {
    function: &'a Function,
    layers: &'a [Layer],
    /// The output the function gets: `Result<T, premier::Error>` around its own, where a layer
    /// can refuse and has no other way to say so.
    wrapped: Option<Type>,
}

impl<'a> Expansion<'a> {
    fn new(function: &'a Function, layers: &'a [Layer]) -> Self {
        let refuses = layers.iter().find_map(|Layer::Throttle(throttle)| {
            throttle.on_reject.is_none().then(|| throttle.krate())
        });
        let wrapped = refuses.filter(|_| !function.yields_result()).map(|krate| {
            let output = &function.output;
            let span = Span::mixed_site();
            Type::Verbatim(quote_spanned!(span=> ::core::result::Result<#output, #krate::Error>))
        });
        Self {
            function,
            layers,
            wrapped,
        }
    }

    fn function(&self) -> TokenStream {
        let span = Span::mixed_site();
        let body = match self.function.shape {
            Shape::Sync | Shape::Async => self.layered(&self.function.named_body()),
            Shape::BoxedBlock => match self.function.boxed_block() {
                Some(block) => {
                    let block = self.layered(&block);
                    quote_spanned!(span=> ::std::boxed::Box::pin(async move { #block }))
                }
                None => self.deferred(),
            },
            Shape::Future | Shape::BoxedFuture => self.deferred(),
        };
        self.function.with_body(body, self.wrapped.as_ref())
    }

    /// The body behind all layers, first is outermost.
    fn layered(&self, body: &TokenStream) -> TokenStream {
        let admissions = self.layers.iter().map(|Layer::Throttle(throttle)| {
            let admission = throttle.admission(self.function);
            let refusal = throttle.refusal(self.function, self.wrapped.is_some());
            quote!(#admission #refusal)
        });
        let body = self.fallible(body);
        quote!(#(#admissions)* #body)
    }

    /// The user's body, giving `Ok` where the output has been wrapped. It may `return`, so it runs
    /// in a closure or block of its own.
    fn fallible(&self, body: &TokenStream) -> TokenStream {
        if self.wrapped.is_none() {
            return body.clone();
        }
        let span = Span::mixed_site();
        let output = &self.function.output;
        let named = is_nameable(output);
        let Layer::Throttle(first) = &self.layers[0];
        let krate = first.krate();
        if self.function.is_async() {
            let ascription = named.then(|| quote_spanned!(span=> : #output));
            quote_spanned! {span=>
                let __premier_body = async move { #body };
                #[allow(clippy::let_unit_value)]
                let __premier_output #ascription = __premier_body.await;
                ::core::result::Result::Ok(__premier_output)
            }
        } else {
            let ascription = named.then(|| quote_spanned!(span=> -> #output));
            quote_spanned! {span=>
                #krate::__private::once_ok(move || #ascription { #body })
            }
        }
    }

    /// For functions that return a future: its keys are read and the future is made at once, and
    /// nothing is asked before the first poll.
    fn deferred(&self) -> TokenStream {
        let span = Span::mixed_site();
        let Layer::Throttle(first) = &self.layers[0];
        let krate = first.krate();
        let body = self.function.named_body();
        let admissions = self
            .layers
            .iter()
            .map(|Layer::Throttle(throttle)| throttle.admission(self.function));
        let refusals = self.layers.iter().map(|Layer::Throttle(throttle)| {
            throttle.refusal(self.function, self.wrapped.is_some())
        });
        let boxed = self.function.shape != Shape::Future;
        let ascription = match &self.function.signature.output {
            syn::ReturnType::Type(_, returned) if boxed => quote_spanned!(span=> -> #returned),
            _ => TokenStream::new(),
        };
        let output = match &self.wrapped {
            Some(_) => quote_spanned!(span=> ::core::result::Result::Ok(__premier_future.await)),
            None => quote_spanned!(span=> __premier_future.await),
        };
        let future = quote_spanned! {span=> async move { #(#refusals)* #output } };
        let future = if boxed {
            quote_spanned!(span=> ::std::boxed::Box::pin(#future))
        } else {
            future
        };
        quote_spanned! {span=>
            #(#admissions)*
            let __premier_future = #krate::__private::once(move || #ascription { #body });
            #future
        }
    }
}
