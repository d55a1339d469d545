//! `#[cache]`: what it expands to.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, GenericParam, LitBool, Result};

use crate::arguments::{Arguments, Errors, Value, peel, positive, positive_duration};
use crate::crate_path;
use crate::expand::Expansion;
use crate::function::Function;
use crate::key::{self, Key};

const KNOWN: &str = "ttl, stale, capacity, key, keymaker, keyspace, only_some, name, crate";

/// The arguments of one `#[cache]`, validated.
pub(crate) struct Cache {
    spec: TokenStream,
    /// All arguments, where there is none.
    key: Option<Key>,
    only_some: bool,
    pub(crate) krate: TokenStream,
}

impl Cache {
    pub(crate) fn parse(tokens: TokenStream, function: &Function) -> Result<Self> {
        let mut errors = Errors::default();
        let mut given = Arguments::parse("cache", KNOWN, tokens, &mut errors)?;
        let mut spec = TokenStream::new();
        for name in ["ttl", "stale"] {
            if let Some((name, length)) = given.expr(name, &mut errors) {
                let code = positive_duration(&name.to_string(), &length, &mut errors);
                spec.extend(quote!(.#name(#code)));
            }
        }
        if let Some((_, capacity)) = given.expr("capacity", &mut errors) {
            let capacity = positive("capacity", &capacity, &mut errors);
            spec.extend(quote!(.capacity(#capacity)));
        }
        for name in ["name", "keyspace"] {
            if let Some(text) = given.text(name, &mut errors) {
                let name = Ident::new(name, Span::mixed_site());
                spec.extend(quote!(.#name(#text)));
            }
        }
        let only_some = match given.take("only_some") {
            None => false,
            Some(argument) => match &argument.value {
                Value::Flag => true,
                Value::Expr(expr) => match peel(expr) {
                    Expr::Lit(syn::ExprLit {
                        lit: syn::Lit::Bool(LitBool { value, .. }),
                        ..
                    }) => *value,
                    _ => {
                        errors.at(argument.name.span(), "expected `only_some`");
                        false
                    }
                },
                _ => {
                    errors.at(argument.name.span(), "expected `only_some`");
                    false
                }
            },
        };
        let (key, keymaker) = (
            given.expr("key", &mut errors),
            given.expr("keymaker", &mut errors),
        );
        let key = Key::of(key, keymaker, function, &mut errors);
        let cache = Self {
            spec,
            key,
            only_some,
            krate: given.krate(&mut errors),
        };
        if cache.key.is_none() {
            cache.check_default_key(function, &mut errors);
        }
        errors.or(cache)
    }

    /// The arguments have to tell all that the value depends on.
    fn check_default_key(&self, function: &Function, errors: &mut Errors) {
        if let Some(receiver) = function.signature.receiver() {
            errors.at(
                receiver.self_token.span(),
                "#[cache] on a method needs `key = …`: two values of `Self` would share the cached values",
            );
        }
        let generic = function
            .signature
            .generics
            .params
            .iter()
            .find(|parameter| !matches!(parameter, GenericParam::Lifetime(_)));
        if let Some(parameter) = generic {
            errors.at(
                parameter.span(),
                "#[cache] on a generic function needs `key = …`: all instances share the cached values",
            );
        }
    }

    pub(crate) fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        if expansion.nameable_output().is_some() {
            return Ok(());
        }
        Err(Error::new_spanned(
            expansion.output(),
            "a value of an `impl Trait` type cannot be cached: name the type",
        ))
    }

    pub(crate) fn wrap(
        &self,
        expansion: &Expansion<'_>,
        nth: usize,
        inner: &TokenStream,
    ) -> TokenStream {
        let (krate, spec) = (&self.krate, &self.spec);
        let span = Span::mixed_site();
        let place = crate_path::place(krate);
        let site = crate_path::site(krate, "CacheSite");
        let is_async = expansion.function.is_async();
        let find = Ident::new(if is_async { "find_async" } else { "find" }, span);
        let awaited = expansion.awaited();
        let ascription = expansion.ascription();
        let output = expansion.output();
        let scope = expansion.scope(inner, nth);
        let (bind, key) = self.key(expansion.function);
        let shortest_way = key::shortest_way(krate);
        let value = quote_spanned!(span=> __premier_value);
        let is_result = expansion.yields_result();
        let taken = if is_result {
            quote_spanned!(span=> __premier_output.ok())
        } else {
            quote_spanned!(span=> ::core::option::Option::Some(__premier_output))
        };
        let given = if is_result {
            quote_spanned!(span=> ::core::result::Result::Ok(#value))
        } else {
            value.clone()
        };
        let keep = if self.only_some {
            quote_spanned! {span=>
                if ::core::option::Option::is_some(#value) {
                    __premier_flight.keep(#value);
                }
            }
        } else {
            quote_spanned!(span=> __premier_flight.keep(#value);)
        };
        let kept = if is_result {
            quote_spanned! {span=>
                match __premier_outcome {
                    ::core::result::Result::Ok(__premier_value) => {
                        {
                            let __premier_value = &__premier_value;
                            #keep
                        }
                        ::core::result::Result::Ok(__premier_value)
                    }
                    ::core::result::Result::Err(__premier_error) => match __premier_flight.stale() {
                        ::core::option::Option::Some(__premier_value) => ::core::result::Result::Ok(__premier_value),
                        ::core::option::Option::None => ::core::result::Result::Err(__premier_error),
                    },
                }
            }
        } else {
            quote_spanned! {span=>
                {
                    let __premier_value = &__premier_outcome;
                    #keep
                }
                __premier_outcome
            }
        };
        quote_spanned! {span=>
            let __premier_found = {
                #site
                let __premier_codec = {
                    #[allow(unused_imports)]
                    use #krate::__private::{CodecByMemory as _, CodecBySerde as _};
                    (&&#krate::__private::Probe::of(|__premier_output: #output| #taken)).premier_codec()
                };
                #shortest_way
                #bind
                __PREMIER_SITE.search(
                    || #krate::__private::CacheSpec::new(#place) #spec,
                    __premier_codec,
                    #key,
                )
            };
            let __premier_flight = match __premier_found.#find() #awaited {
                ::core::result::Result::Ok(__premier_value) => return #given,
                ::core::result::Result::Err(__premier_flight) => __premier_flight,
            };
            let __premier_outcome #ascription = #scope;
            #kept
        }
    }

    /// Statements that come before, and a reference to something that is `Display`.
    fn key(&self, function: &Function) -> (TokenStream, TokenStream) {
        let krate = &self.krate;
        let span = Span::mixed_site();
        if let Some(key) = &self.key {
            let parts = match key {
                Key::Expr(_) | Key::Format(_) => function.borrowed_parts(),
                _ => TokenStream::new(),
            };
            let (bind, key) = key.expand(function, krate);
            return (quote!(#parts #bind), key);
        }
        let parts = function.parameters.iter().map(|parameter| {
            let at = parameter
                .kind
                .as_ref()
                .map_or(span, Spanned::span)
                .resolved_at(span);
            let krate = crate_path::at(krate, at);
            let (conditions, name) = (&parameter.conditions, &parameter.name);
            quote_spanned!(at=> #(#conditions)* #krate::__private::key_part(&#name))
        });
        if let [parameter] = &function.parameters[..]
            && parameter.conditions.is_empty()
        {
            let at = parameter
                .kind
                .as_ref()
                .map_or(span, Spanned::span)
                .resolved_at(span);
            let (krate, name) = (crate_path::at(krate, at), &parameter.name);
            return (
                TokenStream::new(),
                quote_spanned!(at=> (&&#krate::__private::only_part(&#name)).premier_key()),
            );
        }
        let parts = quote_spanned!(span=> #krate::__private::Parts(&[#(#parts),*]));
        (TokenStream::new(), key::key_of(krate, &parts, span))
    }
}
