//! `#[throttle]`: what it expands to. Its arguments and their rules are in `arguments`.

mod arguments;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, Result};

use self::arguments::Written;
use crate::arguments::{Arguments, Errors};
use crate::crate_path;
use crate::function::{Function, Shape};
use crate::key::{self, Key};

/// The arguments of one `#[throttle]`, validated.
pub(crate) struct Throttle {
    nth: usize,
    /// Calls on the `Spec`, in order.
    spec: TokenStream,
    key: Option<Key>,
    cost: Option<Expr>,
    pub(crate) on_reject: Option<Expr>,
    krate: TokenStream,
}

impl Throttle {
    /// `nth` counts premier's attributes above this one.
    pub(crate) fn parse(tokens: TokenStream, function: &Function, nth: usize) -> Result<Self> {
        let mut errors = Errors::default();
        let written = Written::sort(syn::parse2::<Arguments>(tokens)?, &mut errors);
        let algo = written
            .algo
            .as_ref()
            .and_then(|algo| errors.keep(arguments::known_algo(algo)).flatten());
        let mut spec = TokenStream::new();
        if let Some(name) = &written.name {
            spec.extend(quote!(.name(#name)));
        }
        if let Some(expr) = &written.algo {
            spec.extend(quote!(.algo(#expr)));
        }
        spec.extend(written.rates(algo, &mut errors));
        spec.extend(written.sizes(algo, &mut errors));
        spec.extend(written.wait(&mut errors));
        let key = written.key(function, &mut errors);
        let cost = written
            .cost
            .filter(|cost| errors.keep(arguments::check_cost(cost)).is_some());
        if let Some(on_reject) = &written.on_reject {
            errors.keep(arguments::check_on_reject(on_reject));
        }
        errors.or(Self {
            nth,
            spec,
            key,
            cost,
            on_reject: written.on_reject,
            krate: crate_path::crate_path(written.krate.as_ref()),
        })
    }

    /// The path of premier as this attribute names it.
    pub(crate) fn krate(&self) -> &TokenStream {
        &self.krate
    }

    /// The statement that asks for admission.
    pub(crate) fn admission(&self, function: &Function) -> TokenStream {
        let Self {
            nth, spec, krate, ..
        } = self;
        let admission = self.admission_name();
        let enter = Ident::new(
            match function.shape {
                Shape::Sync => "enter",
                Shape::Async | Shape::BoxedBlock => "enter_async",
                Shape::Future | Shape::BoxedFuture => "enter_deferred",
            },
            Span::mixed_site(),
        );
        let parts = match (&self.key, &self.cost) {
            (Some(Key::Expr(_) | Key::Format(_)), _) | (_, Some(_)) => function.borrowed_parts(),
            _ => TokenStream::new(),
        };
        let span = Span::mixed_site();
        let cost = match &self.cost {
            Some(cost) => quote_spanned!(span=> #krate::__private::cost(#cost)),
            None => quote_spanned!(span=> ::core::result::Result::Ok(1)),
        };
        let (bind, key) = match &self.key {
            Some(key) => key.expand(function, krate),
            None => (
                TokenStream::new(),
                quote_spanned!(span=> ::core::option::Option::None::<&::core::primitive::str>),
            ),
        };
        quote_spanned! {span=>
            let #admission = {
                static __PREMIER_SITE: #krate::__private::Site = #krate::__private::Site::new();
                #[allow(clippy::missing_const_for_fn)]
                fn __premier_here() {}
                #parts
                let __premier_cost = #cost;
                #bind
                let __premier_admission = __PREMIER_SITE.#enter(
                    || #krate::__private::Spec::new(::core::module_path!(), __premier_here, #nth) #spec,
                    #key,
                    __premier_cost,
                );
                __premier_admission
            };
        }
    }

    /// The statement that leaves when admission was refused.
    pub(crate) fn refusal(&self, function: &Function, wraps: bool) -> TokenStream {
        let krate = &self.krate;
        let admission = self.admission_name();
        let span = Span::mixed_site();
        let error = Ident::new("__premier_error", span);
        let value = match &self.on_reject {
            Some(on_reject) => {
                let value = key::apply(on_reject, &error, &quote_spanned!(span=> #krate::Error));
                if wraps {
                    quote_spanned!(span=> ::core::result::Result::Ok(#value))
                } else {
                    value
                }
            }
            None if wraps => quote_spanned!(span=> ::core::result::Result::Err(#error)),
            None => {
                let span = function.error_span().resolved_at(span);
                let krate = crate_path::at(krate, span);
                quote_spanned! {span=>
                    ::core::result::Result::Err(#krate::__private::FromRejection::from_rejection(#error))
                }
            }
        };
        let awaited = function.is_async().then(|| quote_spanned!(span=> .await));
        quote_spanned! {span=>
            if let ::core::result::Result::Err(#error) = #admission #awaited {
                return #value;
            }
        }
    }

    fn admission_name(&self) -> Ident {
        format_ident!(
            "__premier_admission_{}",
            self.nth,
            span = Span::mixed_site()
        )
    }
}
