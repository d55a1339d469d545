//! `#[timeout]` stops waiting for a call after a time.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Expr, Result};

use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::crate_path::{respan, take_crate_path};
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::setters::Setters;
use crate::parse::arguments::Arguments;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::positional::split_positional;
use crate::parse::types::is_nameable;
use crate::validate::callback::take_on_reject;
use crate::validate::function::check_owned_arguments;
use crate::validate::key::check_independent;
use crate::validate::values::positive_duration;

const KNOWN: &str = "seconds, name, on_reject, crate";

struct Timeout {
    setters: Setters,
    on_reject: Option<Expr>,
    crate_path: TokenStream,
}

pub(super) fn parse(invocation: Invocation, function: &Function) -> Result<Box<dyn Layer>> {
    let (positional, rest) = split_positional(invocation)?;
    let mut arguments = Arguments::parse("timeout", KNOWN, rest)?;
    let mut setters = Setters::default();
    match (positional, arguments.expr("seconds")) {
        (Some(_), Some((name, _))) => {
            arguments
                .errors
                .push_at(name.span(), "the length of time is given twice");
        }
        (Some(length), None) | (None, Some((_, length))) => {
            let length = positive_duration("a timeout", &length, &mut arguments.errors);
            setters.set("after", length);
        }
        // An unknown argument may be a misspelt `seconds`.
        (None, None) if !arguments.errors.is_empty() => {}
        (None, None) => arguments.report_missing(
            "a length of time, as in `#[timeout(60)]`, `#[timeout(\"500ms\")]` or `#[timeout(seconds = 1.5)]`",
        ),
    }
    check_independent(&setters, function, &mut arguments.errors);
    setters.take_text("name", &mut arguments);
    let timeout = Timeout {
        setters,
        on_reject: take_on_reject(&mut arguments),
        crate_path: take_crate_path(&mut arguments),
    };
    arguments.finish(Box::new(timeout))
}

impl Layer for Timeout {
    fn crate_path(&self) -> &TokenStream {
        &self.crate_path
    }

    fn can_reject(&self) -> bool {
        self.on_reject.is_none()
    }

    /// A timeout is an outcome of the function; its substitute is not.
    fn may_end_call(&self) -> bool {
        self.on_reject.is_some()
    }

    fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        check_owned_arguments(expansion.function)
    }

    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Timeout",
            &self.setters,
            expansion.function,
            Sharing::OwnGenerics,
        );
        let error = Ident::new("__premier_error", span);
        let rejection = expansion.rejection(&error, self.on_reject.as_ref(), index);
        let awaited = expansion.awaited();
        let mut run = expansion.method("run");
        let assertions = if expansion.function.is_async() {
            TokenStream::new()
        } else {
            // An error about the output is reported once for each place.
            run.set_span(output_span(expansion.function));
            let arguments = self.assert_worker_arguments(expansion.function);
            let output = self.assert_worker_output(expansion.function);
            quote_spanned!(span=> #arguments #output)
        };
        let mut block = expansion.block(inner);
        let mut output = quote_spanned!(span=> __premier_output);
        if expansion.has_ending() && !expansion.function.is_async() {
            // The variable of this thread cannot be lent to the worker.
            let scope = expansion.scope(inner, index);
            block = quote_spanned! {span=>
                move || {
                    let __premier_of_worker = #crate_path::__private::Ending::new();
                    let __premier_ending = &__premier_of_worker;
                    let __premier_output = #scope;
                    (__premier_output, __premier_of_worker)
                }
            };
            output = quote_spanned!(span=> { __premier_ending.adopt(&__premier_output.1); __premier_output.0 });
        }
        quote_spanned! {span=>
            #assertions
            let __premier_timed = {
                #items
                __PREMIER_SITE.#run(
                    #instance,
                    #block,
                )
            };
            match __premier_timed #awaited {
                ::core::result::Result::Ok(__premier_output) => #output,
                ::core::result::Result::Err(#error) => #rejection,
            }
        }
    }
}

impl Timeout {
    /// Returns statements that only compile if the arguments can be sent to a worker thread. The
    /// compiler reports an argument that cannot at its type.
    fn assert_worker_arguments(&self, function: &Function) -> TokenStream {
        function
            .parameters
            .iter()
            .map(|parameter| {
                let span = parameter
                    .ty_span()
                    .unwrap_or_else(|| parameter.name.span())
                    .resolved_at(Span::mixed_site());
                let crate_path = respan(&self.crate_path, span);
                let (cfg_attrs, name) = (&parameter.cfg_attrs, &parameter.name);
                quote_spanned! {span=>
                    #(#cfg_attrs)*
                    #[allow(clippy::used_underscore_binding)]
                    #crate_path::bounds::ArgumentOfWorker::for_worker(&#name);
                }
            })
            .collect()
    }

    /// Returns a statement that only compiles if the output can be sent back from a worker thread. The
    /// compiler reports an output that cannot at its type.
    fn assert_worker_output(&self, function: &Function) -> Option<TokenStream> {
        let output = &function.output;
        let span = output_span(function);
        let crate_path = respan(&self.crate_path, span);
        is_nameable(output).then(|| {
            quote_spanned!(span=> let _: fn(#output) -> _ = #crate_path::bounds::OutputOfWorker::send_back;)
        })
    }
}

fn output_span(function: &Function) -> Span {
    function.output.span().resolved_at(Span::mixed_site())
}
