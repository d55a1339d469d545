//! `#[cache]` stores what a function returns, for calls with the same key.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Result, Type};

use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::crate_path::{respan, take_crate_path};
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::key::{KeyTokens, borrow_for_key, import_key_traits, key_of};
use crate::expand::setters::Setters;
use crate::parse::arguments::Arguments;
use crate::parse::function::Function;
use crate::parse::key::{Key, KeyArgs};
use crate::parse::parameter::Parameter;
use crate::validate::function::check_cacheable;
use crate::validate::key::{check_default_cache_key, check_independent, check_key};

const KNOWN: &str = "ttl, stale, capacity, key, keymaker, keyspace, only_some, name, crate";

struct Cache {
    setters: Setters,
    /// Without a key, all arguments together are the key.
    key: Option<Key>,
    /// Whether to store a value only if it is `Some`.
    only_some: bool,
    crate_path: TokenStream,
}

pub(super) fn parse(tokens: TokenStream, function: &Function) -> Result<Box<dyn Layer>> {
    let mut arguments = Arguments::parse("cache", KNOWN, tokens)?;
    let mut setters = Setters::default();
    for name in ["ttl", "stale"] {
        setters.take_positive_duration(name, &mut arguments);
    }
    setters.take_positive("capacity", &mut arguments);
    for name in ["name", "keyspace"] {
        setters.take_text(name, &mut arguments);
    }
    check_independent(&setters, function, &mut arguments.errors);
    let only_some = arguments.flag("only_some");
    let key = KeyArgs::take(&mut arguments);
    let key = check_key(key, function, &mut arguments.errors);
    let crate_path = take_crate_path(&mut arguments);
    if key.is_none() {
        check_default_cache_key(function, &mut arguments.errors);
    }
    arguments.finish(Box::new(Cache {
        setters,
        key,
        only_some,
        crate_path,
    }))
}

impl Layer for Cache {
    fn crate_path(&self) -> &TokenStream {
        &self.crate_path
    }

    fn observes_ending(&self) -> bool {
        true
    }

    fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        check_cacheable(expansion.output())
    }

    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let found = self.search(expansion);
        let awaited = expansion.awaited();
        let find = expansion.method("find");
        let ascription = expansion.ascription();
        let scope = expansion.scope(inner, index);
        let part_of_output = self.part_of(expansion.output());
        let output = self.store();
        let substitute = expansion.ending_of_below(index).map(|ending| {
            quote_spanned! {span=>
                if #ending.is_substitute() {
                    return __premier_outcome;
                }
            }
        });
        quote_spanned! {span=>
            let __premier_part = #part_of_output;
            let __premier_found = #found;
            let __premier_flight = match __premier_found.#find() #awaited {
                ::core::result::Result::Ok(__premier_value) => return #crate_path::__private::CachedPart::output(&__premier_part, __premier_value),
                ::core::result::Result::Err(__premier_flight) => __premier_flight,
            };
            let __premier_outcome #ascription = #scope;
            #substitute
            #output
        }
    }
}

impl Cache {
    /// Returns an expression that looks up the key.
    fn search(&self, expansion: &Expansion<'_>) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Cache",
            &self.setters,
            expansion.function,
            Sharing::None,
        );
        let import_key_traits = import_key_traits(crate_path);
        let KeyTokens { statements, value } = self.key(expansion.function);
        // The codec chooses at compile time whether values can be serialised.
        quote_spanned! {span=>
            {
                #items
                let __premier_codec = {
                    #[allow(unused_imports)]
                    use #crate_path::__private::{CodecByMemory as _, CodecBySerde as _};
                    (&&#crate_path::__private::Probe::of(&__premier_part)).premier_codec()
                };
                #import_key_traits
                #statements
                __PREMIER_SITE.search(
                    #instance,
                    __premier_codec,
                    #value,
                )
            }
        }
    }

    /// Returns an expression for the part of `output` that is cached. The type of the output decides,
    /// at compile time.
    fn part_of(&self, output: &Type) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        quote_spanned! {span=>
            {
                #[allow(unused_imports)]
                use #crate_path::__private::{CachedOk as _, CachedWhole as _};
                (&#crate_path::__private::Output::<#output>::new()).premier_cached()
            }
        }
    }

    /// Returns code that stores the output of the function and yields it. If the function failed,
    /// the code yields the stale value, if there is one.
    fn store(&self) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let keep = quote_spanned!(span=> __premier_flight.keep(__premier_value););
        let keep = if self.only_some {
            quote_spanned! {span=>
                if ::core::option::Option::is_some(__premier_value) {
                    #keep
                }
            }
        } else {
            keep
        };
        let part = quote_spanned!(span=> #crate_path::__private::CachedPart);
        quote_spanned! {span=>
            match #part::value(&__premier_part, &__premier_outcome) {
                ::core::option::Option::Some(__premier_value) => {
                    #keep
                    __premier_outcome
                }
                ::core::option::Option::None => match __premier_flight.stale() {
                    ::core::option::Option::Some(__premier_value) => #part::output(&__premier_part, __premier_value),
                    ::core::option::Option::None => __premier_outcome,
                },
            }
        }
    }

    fn key(&self, function: &Function) -> KeyTokens {
        let crate_path = &self.crate_path;
        if let Some(key) = &self.key {
            let borrows = borrow_for_key(key, function);
            let KeyTokens { statements, value } = KeyTokens::new(key, function, crate_path);
            return KeyTokens {
                statements: quote!(#borrows #statements),
                value,
            };
        }
        let value = match &function.parameters[..] {
            [parameter] if parameter.cfg_attrs.is_empty() => {
                let only = self.argument(parameter, "only_argument");
                let span = argument_span(parameter);
                quote_spanned!(span=> (&&#only).premier_key())
            }
            parameters => {
                let span = Span::mixed_site();
                let arguments = parameters.iter().map(|parameter| {
                    let cfg_attrs = &parameter.cfg_attrs;
                    let argument = self.argument(parameter, "key_argument");
                    quote!(#(#cfg_attrs)* #argument)
                });
                let composite = quote_spanned! {span=>
                    #crate_path::__private::CompositeKey(&[#(#arguments),*])
                };
                key_of(crate_path, &composite, span)
            }
        };
        KeyTokens {
            statements: TokenStream::new(),
            value,
        }
    }

    /// Passes the argument to a function of the runtime. The compiler reports an argument that
    /// cannot be part of a key at its type.
    fn argument(&self, parameter: &Parameter, function: &str) -> TokenStream {
        let span = argument_span(parameter);
        let crate_path = respan(&self.crate_path, span);
        let (function, name) = (Ident::new(function, span), &parameter.name);
        quote_spanned!(span=> #crate_path::__private::#function(&#name))
    }
}

fn argument_span(parameter: &Parameter) -> Span {
    parameter
        .ty_span()
        .unwrap_or_else(Span::mixed_site)
        .resolved_at(Span::mixed_site())
}
