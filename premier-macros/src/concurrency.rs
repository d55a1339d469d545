//! `#[concurrency]`: at most so many calls at a time (a bulkhead).

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, Result};

use crate::arguments::{Arguments, Errors, Value, duration, positive};
use crate::crate_path;
use crate::expand::Expansion;

const KNOWN: &str = "limit, wait, name, on_reject, crate";

/// The arguments of one `#[concurrency]`, validated.
pub(crate) struct Concurrency {
    spec: TokenStream,
    pub(crate) on_reject: Option<Expr>,
    pub(crate) krate: TokenStream,
}

impl Concurrency {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut errors = Errors::default();
        let mut given = Arguments::parse("concurrency", KNOWN, tokens, &mut errors)?;
        let mut spec = TokenStream::new();
        match given.expr("limit", &mut errors) {
            Some((_, limit)) => {
                let limit = positive("limit", &limit, &mut errors);
                spec.extend(quote!(.limit(#limit)));
            }
            None => errors.push(given.missing("`limit = 10`: how many calls may run at a time")),
        }
        if let Some(wait) = given.take("wait") {
            match wait.value {
                Value::Flag => spec.extend(quote!(.wait())),
                Value::Expr(longest) => {
                    let (longest, _) = duration(&longest, &mut errors);
                    spec.extend(quote!(.wait_at_most(#longest)));
                }
                _ => errors.at(wait.name.span(), "expected `wait` or `wait = \"1s\"`"),
            }
        }
        if let Some(name) = given.text("name", &mut errors) {
            spec.extend(quote!(.name(#name)));
        }
        let concurrency = Self {
            spec,
            on_reject: given.on_reject(&mut errors),
            krate: given.krate(&mut errors),
        };
        errors.or(concurrency)
    }

    /// The permit is held as long as what is enclosed runs.
    pub(crate) fn wrap(&self, expansion: &Expansion<'_>, inner: &TokenStream) -> TokenStream {
        let (krate, spec) = (&self.krate, &self.spec);
        let span = Span::mixed_site();
        let place = crate_path::place(krate);
        let site = crate_path::site(krate, "ConcurrencySite");
        let error = Ident::new("__premier_error", span);
        let refusal = expansion.refusal(&error, self.on_reject.as_ref(), krate);
        let enter = Ident::new(
            if expansion.function.is_async() {
                "enter_async"
            } else {
                "enter"
            },
            span,
        );
        let awaited = expansion.awaited();
        quote_spanned! {span=>
            let __premier_permit = {
                #site
                __PREMIER_SITE.#enter(|| #krate::__private::ConcurrencySpec::new(#place) #spec)
            };
            let __premier_permit = match __premier_permit #awaited {
                ::core::result::Result::Ok(__premier_permit) => __premier_permit,
                ::core::result::Result::Err(#error) => return #refusal,
            };
            #inner
        }
    }
}
