//! `#[cache]` stores what a function returns, for calls with the same key.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Result, Type};

use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::crate_path::{respan, take_crate_path};
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::key::KeyTokens;
use crate::expand::setters::Setters;
use crate::parse::arguments::Arguments;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::key::{Key, KeyArgs};
use crate::parse::parameter::Parameter;
use crate::parse::types::{is_borrowed, names_borrowed_parameter, names_lifetime, peel_type};
use crate::validate::function::check_cacheable;
use crate::validate::key::{check_default_cache_key, check_independent, check_key};

const KNOWN: &str = "ttl, stale, wait, capacity, key, keymaker, keyspace, only_some, name, crate";

struct Cache {
    setters: Setters,
    /// Without a key, all arguments together are the key.
    key: Option<Key>,
    /// Whether to store a value only if it is `Some`.
    only_some: bool,
    crate_path: TokenStream,
}

pub(super) fn parse(invocation: Invocation, function: &Function) -> Result<Box<dyn Layer>> {
    let mut arguments = Arguments::parse("cache", KNOWN, invocation)?;
    let mut setters = Setters::default();
    for name in ["ttl", "stale", "wait"] {
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
        let find = self.call(
            expansion.function,
            "CacheCall",
            &expansion.method("find").to_string(),
            &quote_spanned!(output_span(expansion.function)=> __premier_found, __premier_failures),
        );
        let ascription = expansion.ascription();
        let scope = expansion.scope(inner, index);
        let cached = self.cached_output(expansion.output());
        let failures = self.failures(expansion);
        let output = self.store(expansion.function);
        let substitute = expansion.ending_of_below(index).map(|ending| {
            quote_spanned! {span=>
                if #ending.is_substitute() {
                    return __premier_outcome;
                }
            }
        });
        quote_spanned! {span=>
            let __premier_cached = #cached;
            let __premier_failures = #failures;
            let __premier_found = #found;
            let __premier_flight = match #find #awaited {
                ::core::result::Result::Ok(__premier_value) => return #crate_path::__private::CachedOutput::output(&__premier_cached, __premier_value),
                ::core::result::Result::Err(#crate_path::__private::Missed::Failed(__premier_outcome)) => return __premier_outcome,
                ::core::result::Result::Err(#crate_path::__private::Missed::Compute(__premier_flight)) => __premier_flight,
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
        let search = self.search_by_key(expansion.function, &instance);
        // The compiler reports a value that cannot be cached at the output of the function.
        let output_span = expansion.function.output.span().resolved_at(span);
        let probe = respan(
            &quote_spanned!(span=> #crate_path::bounds::cached_value),
            output_span,
        );
        let probe = quote_spanned!(output_span=> #probe(&__premier_cached));
        // The codec chooses at compile time whether values can be serialised. A value with a lifetime cannot be
        // read for any other lifetime, which the choice does not see.
        let by_serde = (!names_lifetime(expansion.output()))
            .then(|| quote_spanned!(span=> use #crate_path::__private::CodecBySerde as _;));
        quote_spanned! {span=>
            {
                #items
                let __premier_codec = {
                    #[allow(unused_imports)]
                    use #crate_path::__private::CodecByMemory as _;
                    #[allow(unused_imports)]
                    #by_serde
                    (&&#probe).premier_codec()
                };
                #search
            }
        }
    }

    /// Returns code that looks for `key`, or for all arguments if there is no `key`.
    fn search_by_key(&self, function: &Function, instance: &TokenStream) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let codec = Ident::new("__premier_codec", output_span(function));
        let Some(key) = &self.key else {
            let search = |method: &str, arguments: &TokenStream| {
                let arguments =
                    quote_spanned!(span=> &__PREMIER_SITE, #instance, #codec, #arguments);
                self.call(function, "CacheSite", method, &arguments)
            };
            let search = match &function.parameters[..] {
                [only] if only.cfg_attrs.is_empty() => {
                    let part = self.part(only);
                    search("search_by_argument", &quote_spanned!(span=> &#part))
                }
                parameters => {
                    let parts = parameters.iter().map(|parameter| {
                        let (cfg_attrs, part) = (&parameter.cfg_attrs, self.part(parameter));
                        quote_spanned!(span=> #(#cfg_attrs)* (&#part as &dyn #crate_path::__private::Part))
                    });
                    let arguments =
                        quote_spanned!(span=> #crate_path::__private::Arguments(&[#(#parts),*]));
                    search("search_by_arguments", &arguments)
                }
            };
            return quote_spanned! {span=>
                #[allow(unused_imports)]
                use #crate_path::__private::{
                    JsonBySerde as _, JsonOfReference as _, NoJson as _, NoText as _, PartByReference as _,
                    PartByText as _, PartByValue as _, TextByDisplay as _,
                };
                #search
            };
        };
        let KeyTokens { statements, value } = KeyTokens::of(Some(key), function, crate_path);
        let arguments = quote_spanned! {span=>
            &__PREMIER_SITE,
            #instance,
            #codec,
            #value
        };
        let search = self.call(function, "CacheSite", "search", &arguments);
        quote_spanned! {span=>
            #statements
            #search
        }
    }

    /// Returns the argument as a part of the key. The compiler reports an argument that cannot be one at its
    /// type.
    fn part(&self, parameter: &Parameter) -> TokenStream {
        let span = argument_span(parameter);
        let crate_path = respan(&self.crate_path, span);
        let name = &parameter.name;
        let argument = quote_spanned! {span=>
            #crate_path::__private::Argument(
                #[allow(clippy::used_underscore_binding)]
                &#name
            )
        };
        // A type with a lifetime cannot be read for any other lifetime, which the lookup of `premier_json` does
        // not see. With one reference the lookup finds that the argument has no JSON.
        let has_lifetime = parameter.ty.as_ref().is_some_and(|ty| match peel_type(ty) {
            Type::Reference(reference) => names_lifetime(&reference.elem),
            ty => names_lifetime(ty),
        });
        let references = match has_lifetime {
            true => quote_spanned!(span=> &),
            false => quote_spanned!(span=> &&&),
        };
        quote_spanned! {span=>
            #crate_path::bounds::KeyArgument::part(
                (&&&#argument).premier_argument(),
                (&&#argument).premier_text(),
                (#references #argument).premier_json(),
            )
        }
    }

    /// Returns a call of a function of the runtime for which the value has to be one that can be cached. All have
    /// the span of the output, so that the compiler reports another value there, and once.
    fn call(
        &self,
        function: &Function,
        of: &str,
        method: &str,
        arguments: &TokenStream,
    ) -> TokenStream {
        let span = output_span(function);
        let crate_path = respan(&self.crate_path, span);
        let (of, method) = (Ident::new(of, span), Ident::new(method, span));
        quote_spanned!(span=> #crate_path::__private::#of::#method(#arguments))
    }

    /// Returns an expression for what is cached of `output`. The type of the output decides,
    /// at compile time.
    fn cached_output(&self, output: &Type) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        quote_spanned! {span=>
            {
                #[allow(unused_imports)]
                use #crate_path::__private::{CachedOk as _, CachedWhole as _};
                (&#crate_path::__private::OutputType::<#output>::new()).premier_cached()
            }
        }
    }

    /// Returns an expression for the output of callers that have waited for a failed computation. The type of the
    /// output selects it at compile time.
    fn failures(&self, expansion: &Expansion<'_>) -> TokenStream {
        let (crate_path, output) = (&self.crate_path, expansion.output());
        let span = Span::mixed_site();
        // An error that borrows cannot be kept for others, which the choice does not see.
        let generics = &expansion.function.signature.generics;
        let may_borrow = is_borrowed(output) || names_borrowed_parameter(output, generics);
        let by_clone = (!may_borrow).then(|| {
            quote_spanned! {span=>
                #[allow(unused_imports)]
                use #crate_path::__private::FailureByClone as _;
            }
        });
        quote_spanned! {span=>
            {
                #[allow(unused_imports)]
                use #crate_path::__private::{FailureByError as _, FailureByMessage as _, NoFailure as _};
                #by_clone
                (&&&&#crate_path::__private::OutputType::<#output>::new()).premier_failures()
            }
        }
    }

    /// Returns code that stores the output of the function and yields it. If the function failed,
    /// the code yields the stale value, if there is one.
    fn store(&self, function: &Function) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let output_span = output_span(function);
        let flight = quote_spanned!(output_span=> __premier_flight);
        let failure = quote_spanned!(output_span=> #flight, &__premier_outcome, __premier_failures);
        let fail = self.call(function, "Flight", "fail", &failure);
        let value = quote_spanned!(output_span=> #flight, __premier_value);
        let keep = self.call(function, "Flight", "keep", &value);
        let keep = quote_spanned!(span=> #keep;);
        let keep = if self.only_some {
            let path = respan(crate_path, output_span);
            let is_some = quote_spanned! {output_span=>
                #path::bounds::OptionalValue::is_some(__premier_value)
            };
            let pass_on = self.call(function, "Flight", "pass_on", &value);
            quote_spanned!(span=> if #is_some { #keep } else { #pass_on; })
        } else {
            keep
        };
        let cached = quote_spanned!(span=> #crate_path::__private::CachedOutput);
        quote_spanned! {span=>
            match #cached::value(&__premier_cached, &__premier_outcome) {
                ::core::option::Option::Some(__premier_value) => {
                    #keep
                    __premier_outcome
                }
                ::core::option::Option::None => match #fail {
                    ::core::option::Option::Some(__premier_value) => #cached::output(&__premier_cached, __premier_value),
                    ::core::option::Option::None => __premier_outcome,
                },
            }
        }
    }
}

fn output_span(function: &Function) -> Span {
    function.output.span().resolved_at(Span::mixed_site())
}

fn argument_span(parameter: &Parameter) -> Span {
    parameter
        .ty_span()
        .unwrap_or_else(Span::mixed_site)
        .resolved_at(Span::mixed_site())
}
