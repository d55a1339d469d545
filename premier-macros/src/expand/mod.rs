//! The whole stack of attributes, expanded once.
//!
//! The body is wrapped from the inside out: each layer is given the code of all that it encloses
//! and gives code of the same kind back. Such code is the inside of a block that yields the
//! output of the function, and may also `return` it: whoever wants to see the output of an inner
//! layer puts it into a scope of its own.

mod scope;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, Result, Type};

use crate::function::{Function, Shape};
use crate::output::is_nameable;
use crate::stack::{self, Attribute, Layer};
use crate::{crate_path, key};

/// Expands an attribute together with all others of premier's on the item. After an error the
/// item is emitted as it was, so that the error stays the only one and editors keep working.
pub(crate) fn expand(
    attribute: Attribute,
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    if is_mark(&arguments) {
        return TokenStream::new();
    }
    expand_stack(attribute, arguments, item.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        let item = fallback(item);
        quote!(#error #item)
    })
}

/// Whether this is no attribute but the mark that one has been used.
fn is_mark(arguments: &TokenStream) -> bool {
    arguments.to_string() == "__premier_used"
}

fn expand_stack(
    attribute: Attribute,
    arguments: TokenStream,
    item: TokenStream,
) -> Result<TokenStream> {
    let mut function: Function = syn::parse2(item)?;
    function.validate()?;
    let layers = stack::collect(attribute, arguments, &mut function)?;
    let expansion = Expansion::new(&function, &layers);
    expansion.validate()?;
    Ok(expansion.function())
}

/// The item without premier's attributes where they can be told apart, otherwise as it is.
fn fallback(item: TokenStream) -> TokenStream {
    let Ok(mut function) = syn::parse2::<Function>(item.clone()) else {
        return item;
    };
    stack::strip(&mut function);
    let body = function.named_body();
    function.with_body(body, None, false)
}

/// What layers have to know of the function and of one another.
pub(crate) struct Expansion<'a> {
    pub(crate) function: &'a Function,
    layers: &'a [Layer],
    /// The output the function gets: `Result<T, premier::Error>` around its own, where a layer
    /// can refuse and has no other way to say so.
    wrapped: Option<Type>,
}

impl<'a> Expansion<'a> {
    fn new(function: &'a Function, layers: &'a [Layer]) -> Self {
        let refuses = layers.iter().find(|layer| layer.refuses());
        let wrapped = refuses.filter(|_| !function.yields_result()).map(|layer| {
            let (output, krate) = (&function.output, layer.krate());
            let span = Span::mixed_site();
            Type::Verbatim(quote_spanned!(span=> ::core::result::Result<#output, #krate::Error>))
        });
        Self {
            function,
            layers,
            wrapped,
        }
    }

    fn validate(&self) -> Result<()> {
        for layer in self.layers {
            layer.validate(self)?;
        }
        Ok(())
    }

    fn function(&self) -> TokenStream {
        let span = Span::mixed_site();
        let body = match self.function.shape {
            Shape::Sync | Shape::Async => self.layered(),
            Shape::BoxedBlock => {
                let block = self.layered();
                quote_spanned!(span=> ::std::boxed::Box::pin(async move { #block }))
            }
            Shape::Future | Shape::BoxedFuture if self.is_deferred() => self.deferred(),
            Shape::Future => {
                let block = self.layered();
                quote_spanned!(span=> async move { #block })
            }
            Shape::BoxedFuture => {
                let block = self.layered();
                quote_spanned!(span=> ::std::boxed::Box::pin(async move { #block }))
            }
        };
        let renames_self = self.layers.iter().any(Layer::repeats) && self.moves_self();
        self.function
            .with_body(body, self.wrapped.as_ref(), renames_self)
    }

    /// What the function yields, once attributes have changed it.
    pub(crate) fn output(&self) -> &Type {
        self.wrapped.as_ref().unwrap_or(&self.function.output)
    }

    /// The output, if it can be written in the body.
    pub(crate) fn nameable_output(&self) -> Option<&Type> {
        is_nameable(self.output()).then(|| self.output())
    }

    /// Whether there is an error to look at.
    pub(crate) fn yields_result(&self) -> bool {
        self.wrapped.is_some() || self.function.yields_result()
    }

    /// `: Output`, for a variable that holds the output.
    pub(crate) fn ascription(&self) -> Option<TokenStream> {
        let span = Span::mixed_site();
        self.nameable_output()
            .map(|output| quote_spanned!(span=> : #output))
    }

    /// An error where there is no error to look at, which is `why` the attribute is there.
    pub(crate) fn needs_result(&self, attribute: &str, why: &str) -> Result<()> {
        if self.yields_result() {
            return Ok(());
        }
        Err(syn::Error::new(
            self.function.error_span(),
            format!(
                "#[{attribute}] needs a function that returns a Result: {why}; premier tells it by its name, which has to end in `Result`"
            ),
        ))
    }

    /// `.await`, in functions that can.
    pub(crate) fn awaited(&self) -> Option<TokenStream> {
        let span = Span::mixed_site();
        self.function
            .is_async()
            .then(|| quote_spanned!(span=> .await))
    }

    /// What a layer that refuses a call returns for its error.
    pub(crate) fn refusal(
        &self,
        error: &Ident,
        on_reject: Option<&Expr>,
        krate: &TokenStream,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let wraps = self.wrapped.is_some();
        match on_reject {
            Some(on_reject) => {
                let value = key::apply(on_reject, error, &quote_spanned!(span=> #krate::Error));
                if wraps {
                    quote_spanned!(span=> ::core::result::Result::Ok(#value))
                } else {
                    value
                }
            }
            None => self.converted(error, krate, "FromRejection", "from_rejection"),
        }
    }

    /// The error of premier's as one of the user's, by this trait.
    pub(crate) fn converted(
        &self,
        error: &Ident,
        krate: &TokenStream,
        by: &str,
        method: &str,
    ) -> TokenStream {
        let span = Span::mixed_site();
        if self.wrapped.is_some() {
            return quote_spanned!(span=> ::core::result::Result::Err(#error));
        }
        let span = self.function.error_span().resolved_at(span);
        let krate = crate_path::at(krate, span);
        let (by, method) = (Ident::new(by, span), Ident::new(method, span));
        quote_spanned! {span=>
            ::core::result::Result::Err(#krate::__private::#by::#method(#error))
        }
    }

    /// The body behind all layers, first is outermost.
    fn layered(&self) -> TokenStream {
        let mut code = self.innermost();
        for (nth, layer) in self.layers.iter().enumerate().rev() {
            code = layer.wrap(self, nth, code);
        }
        code
    }

    /// Whether the layer at this place, or one around it, runs what it encloses more than once.
    pub(crate) fn repeats(&self, nth: usize) -> bool {
        self.layers[..=nth].iter().any(Layer::repeats)
    }

    /// The user's body, giving `Ok` where the output has been wrapped.
    fn innermost(&self) -> TokenStream {
        let body = match self.function.shape {
            Shape::Sync | Shape::Async => self.function.named_body(),
            Shape::BoxedBlock => self.function.boxed_block(),
            Shape::Future | Shape::BoxedFuture => return self.awaited_body(),
        };
        if self.wrapped.is_none() {
            return body;
        }
        let output = &self.function.output;
        let named = is_nameable(output).then_some(output);
        let scope = self.scope_of(&body, named, self.layers.len() - 1);
        let span = Span::mixed_site();
        if self.function.yields_unit() {
            // Bound apart from its use, so that no lint sees a unit handed on.
            return quote_spanned!(span=> { #scope; } ::core::result::Result::Ok(()));
        }
        quote_spanned!(span=> ::core::result::Result::Ok(#scope))
    }

    /// The body of a function that returns a future, run and awaited.
    fn awaited_body(&self) -> TokenStream {
        let span = Span::mixed_site();
        let body = self.function.named_body();
        let future = self.made_future(&body);
        match &self.wrapped {
            Some(_) => quote_spanned!(span=> ::core::result::Result::Ok(#future.await)),
            None => quote_spanned!(span=> #future.await),
        }
    }

    fn made_future(&self, body: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let krate = self.layers[0].krate();
        let ascription = match &self.function.signature.output {
            syn::ReturnType::Type(_, returned) if self.function.shape == Shape::BoxedFuture => {
                quote_spanned!(span=> -> #returned)
            }
            _ => TokenStream::new(),
        };
        quote_spanned!(span=> #krate::__private::once(move || #ascription { #body }))
    }

    /// Whether the body runs at once, as the user wrote it, and only what it returns is deferred.
    /// Layers that do more than refuse have to have the body inside.
    pub(crate) fn is_deferred(&self) -> bool {
        matches!(self.function.shape, Shape::Future | Shape::BoxedFuture)
            && self
                .layers
                .iter()
                .all(|layer| matches!(layer, Layer::Throttle(_)))
    }

    /// For functions that return a future: its keys are read and the future is made at once, and
    /// nothing is asked before the first poll.
    fn deferred(&self) -> TokenStream {
        let span = Span::mixed_site();
        let throttles: Vec<_> = self
            .layers
            .iter()
            .filter_map(|layer| match layer {
                Layer::Throttle(throttle) => Some(throttle),
                _ => None,
            })
            .collect();
        let admissions = throttles.iter().map(|throttle| throttle.admission(self));
        let refusals = throttles.iter().map(|throttle| throttle.refusal(self));
        let made = self.made_future(&self.function.named_body());
        let output = match &self.wrapped {
            Some(_) => quote_spanned!(span=> ::core::result::Result::Ok(__premier_future.await)),
            None => quote_spanned!(span=> __premier_future.await),
        };
        let future = quote_spanned! {span=> async move { #(#refusals)* #output } };
        let future = if self.function.shape == Shape::BoxedFuture {
            quote_spanned!(span=> ::std::boxed::Box::pin(#future))
        } else {
            future
        };
        quote_spanned! {span=>
            #(#admissions)*
            let __premier_future = #made;
            #future
        }
    }
}
