//! `#[timeout]`: an end to waiting for a call.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Expr, Result, Token, Type};

use crate::arguments::{Arguments, Errors, positive_duration};
use crate::crate_path;
use crate::expand::Expansion;
use crate::function::Passing;

const KNOWN: &str = "seconds, name, on_reject, crate";
const WORKER: &str = "a sync function with #[timeout] runs on a worker thread, so its arguments must be `Send + 'static`";

/// The arguments of one `#[timeout]`, validated.
pub(crate) struct Timeout {
    spec: TokenStream,
    pub(crate) on_reject: Option<Expr>,
    pub(crate) krate: TokenStream,
}

impl Timeout {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut errors = Errors::default();
        let (first, rest) = first_value.parse2(tokens)?;
        let mut given = Arguments::parse("timeout", KNOWN, rest, &mut errors)?;
        let named = given.expr("seconds", &mut errors);
        let mut spec = TokenStream::new();
        match (first, named) {
            (Some(_), Some((name, _))) => {
                errors.at(name.span(), "the length of time is given twice");
            }
            (Some(length), None) | (None, Some((_, length))) => {
                let code = positive_duration("a timeout", &length, &mut errors);
                spec.extend(quote!(.after(#code)));
            }
            // Something unknown may have been meant to be it.
            (None, None) if !errors.is_empty() => {}
            (None, None) => errors.push(given.missing(
                "a length of time, as in `#[timeout(60)]`, `#[timeout(\"500ms\")]` or `#[timeout(seconds = 1.5)]`",
            )),
        }
        if let Some(name) = given.text("name", &mut errors) {
            spec.extend(quote!(.name(#name)));
        }
        let timeout = Self {
            spec,
            on_reject: given.on_reject(&mut errors),
            krate: given.krate(&mut errors),
        };
        errors.or(timeout)
    }

    /// On a worker thread nothing may be borrowed.
    pub(crate) fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        if expansion.function.is_async() {
            return Ok(());
        }
        let mut errors = Errors::default();
        for parameter in &expansion.function.parameters {
            let borrowed = match &parameter.kind {
                None => parameter.passing != Passing::Value,
                Some(kind) => is_borrowed(kind),
            };
            if borrowed {
                let what = match &parameter.kind {
                    None => "take `self` by value or `self: Arc<Self>`".to_owned(),
                    Some(_) => "pass it by value or in an `Arc`".to_owned(),
                };
                let span = parameter
                    .kind
                    .as_ref()
                    .map_or_else(|| parameter.name.span(), Spanned::span);
                errors.at(
                    span,
                    format!("{WORKER}: {what}, or make the function async"),
                );
            }
        }
        errors.or(())
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
        let site = crate_path::site(krate, "TimeoutSite");
        let error = Ident::new("__premier_error", span);
        let refusal = expansion.refusal(&error, self.on_reject.as_ref(), krate);
        let is_async = expansion.function.is_async();
        let run = Ident::new(if is_async { "run_async" } else { "run" }, span);
        let awaited = expansion.awaited();
        let checked = if is_async {
            TokenStream::new()
        } else {
            self.checked_arguments(expansion)
        };
        let block = expansion.block(inner, nth);
        quote_spanned! {span=>
            #checked
            let __premier_timed = {
                #site
                __PREMIER_SITE.#run(
                    || #krate::__private::TimeoutSpec::new(#place) #spec,
                    #block,
                )
            };
            match __premier_timed #awaited {
                ::core::result::Result::Ok(__premier_output) => __premier_output,
                ::core::result::Result::Err(#error) => #refusal,
            }
        }
    }

    /// Tells of an argument that cannot go to another thread where it stands.
    fn checked_arguments(&self, expansion: &Expansion<'_>) -> TokenStream {
        expansion
            .function
            .parameters
            .iter()
            .map(|parameter| {
                let span = parameter
                    .kind
                    .as_ref()
                    .map_or_else(|| parameter.name.span(), Spanned::span)
                    .resolved_at(Span::mixed_site());
                let krate = crate_path::at(&self.krate, span);
                let (conditions, name) = (&parameter.conditions, &parameter.name);
                quote_spanned! {span=>
                    #(#conditions)*
                    #[allow(clippy::used_underscore_binding)]
                    #krate::__private::for_worker(&#name);
                }
            })
            .collect()
    }
}

/// `60`, `"500ms"` or another expression that stands without a name, and what comes after it.
fn first_value(input: ParseStream<'_>) -> Result<(Option<Expr>, TokenStream)> {
    let named = input.peek(syn::Ident) && (input.peek2(Token![=]) && !input.peek2(Token![==]))
        || input.peek(Token![crate]) && input.peek2(Token![=])
        || input.is_empty();
    let first = if named { None } else { Some(input.parse()?) };
    if first.is_some() && !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok((first, input.parse()?))
}

fn is_borrowed(kind: &Type) -> bool {
    match kind {
        Type::Group(group) => is_borrowed(&group.elem),
        Type::Paren(paren) => is_borrowed(&paren.elem),
        Type::Reference(reference) => reference
            .lifetime
            .as_ref()
            .is_none_or(|lifetime| lifetime.ident != "static"),
        _ => false,
    }
}
