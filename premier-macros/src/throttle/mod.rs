//! `#[throttle]`: what it expands to. Its arguments and their rules are in `arguments`.

mod arguments;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, Result};

use self::arguments::Written;
use crate::arguments::Errors;
use crate::crate_path;
use crate::expand::Expansion;
use crate::function::Function;
use crate::key::{self, Key};

/// The arguments of one `#[throttle]`, validated.
pub(crate) struct Throttle {
    nth: usize,
    /// Calls on the `Spec`, in order.
    spec: TokenStream,
    key: Option<Key>,
    cost: Option<TokenStream>,
    pub(crate) on_reject: Option<Expr>,
    pub(crate) krate: TokenStream,
}

impl Throttle {
    /// `nth` counts the throttles above this one.
    pub(crate) fn parse(tokens: TokenStream, function: &Function, nth: usize) -> Result<Self> {
        let mut errors = Errors::default();
        let written = Written::sort(tokens, &mut errors)?;
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
        written.check_independence(function, &mut errors);
        written.check_capacity(algo, &mut errors);
        let key = Key::of(written.key, written.keymaker, function, &mut errors);
        let cost = written.cost.map(|cost| arguments::cost(&cost, &mut errors));
        errors.or(Self {
            nth,
            spec,
            key,
            cost,
            on_reject: written.on_reject,
            krate: written.krate,
        })
    }

    /// Asks for admission before all that is enclosed.
    pub(crate) fn wrap(&self, expansion: &Expansion<'_>, inner: &TokenStream) -> TokenStream {
        let admission = self.admission(expansion);
        let refusal = self.refusal(expansion);
        quote!(#admission #refusal #inner)
    }

    /// The statement that asks for admission.
    pub(crate) fn admission(&self, expansion: &Expansion<'_>) -> TokenStream {
        let Self {
            nth, spec, krate, ..
        } = self;
        let function = expansion.function;
        let admission = self.admission_name();
        let enter = match (function.is_async(), expansion.is_deferred()) {
            (false, _) => "enter",
            (true, false) => "enter_async",
            (true, true) => "enter_deferred",
        };
        let enter = Ident::new(enter, Span::mixed_site());
        let parts = match (&self.key, &self.cost) {
            (Some(Key::Expr(_) | Key::Format(_)), _) | (_, Some(_)) => function.borrowed_parts(),
            _ => TokenStream::new(),
        };
        let span = Span::mixed_site();
        let cost = match &self.cost {
            Some(cost) => quote_spanned!(span=> #krate::__private::cost(#cost)),
            None => quote_spanned!(span=> #krate::__private::OneUnit),
        };
        let (bind, key) = match &self.key {
            Some(key) => {
                let (bind, value) = key.expand(function, krate);
                let shortest_way = key::shortest_way(krate);
                (quote!(#shortest_way #bind), value)
            }
            None => (
                TokenStream::new(),
                quote_spanned!(span=> #krate::__private::NoKey),
            ),
        };
        let place = crate_path::place(krate);
        let site = crate_path::site(krate, "Site");
        quote_spanned! {span=>
            let #admission = {
                #site
                #parts
                let __premier_cost = #cost;
                #bind
                let __premier_admission = __PREMIER_SITE.#enter(
                    || #krate::__private::Spec::new(#place, #nth) #spec,
                    #key,
                    __premier_cost,
                );
                __premier_admission
            };
        }
    }

    /// The statement that leaves when admission was refused.
    pub(crate) fn refusal(&self, expansion: &Expansion<'_>) -> TokenStream {
        let admission = self.admission_name();
        let span = Span::mixed_site();
        let error = Ident::new("__premier_error", span);
        let value = expansion.refusal(&error, self.on_reject.as_ref(), &self.krate);
        let awaited = expansion.awaited();
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
