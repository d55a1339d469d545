//! Calls of setters on a spec: the configuration of an attribute as the runtime receives it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Error;

use crate::parse::arguments::Arguments;
use crate::parse::errors::Errors;
use crate::parse::literal::{Literal, literal};
use crate::parse::settling::SettlingArgs;
use crate::parse::wait::{Wait, WaitArgs};
use crate::validate::checked::Nanos;
use crate::validate::values::{duration, positive, positive_duration, share, units};

/// `.name("page").ttl(…)`, in the order of the calls below.
#[derive(Default)]
pub(crate) struct Setters(TokenStream);

impl Setters {
    /// Adds a call of the setter `name`.
    pub(crate) fn set(&mut self, name: &str, values: impl ToTokens) {
        self.set_at(&Ident::new(name, Span::mixed_site()), values);
    }

    /// Adds a call of the setter that has the name of the argument.
    pub(crate) fn set_at(&mut self, name: &Ident, values: impl ToTokens) {
        self.0.extend(quote!(.#name(#values)));
    }

    /// Takes `name = "…"` and adds a call of the setter with this name.
    pub(crate) fn take_text(&mut self, name: &str, arguments: &mut Arguments) {
        if let Some(text) = arguments.text(name) {
            self.set(name, text);
        }
    }

    /// Takes `name = 10`, where the number is at least 1, and adds a call of the setter. Returns
    /// whether the argument was given.
    pub(crate) fn take_positive(&mut self, name: &str, arguments: &mut Arguments) -> bool {
        let Some((ident, number)) = arguments.expr(name) else {
            return false;
        };
        self.set_at(&ident, positive(name, &number, &mut arguments.errors));
        true
    }

    /// Takes `name = 0.5`, a share of all, and adds a call of the setter. Returns whether the argument was given.
    pub(crate) fn take_share(&mut self, name: &str, arguments: &mut Arguments) -> bool {
        let Some((ident, fraction)) = arguments.expr(name) else {
            return false;
        };
        self.set_at(&ident, share(name, &fraction, &mut arguments.errors));
        true
    }

    /// Takes `name = "5s"`, where the duration is longer than zero, and adds a call of the setter. Returns
    /// the duration if it is a literal.
    pub(crate) fn take_positive_duration(
        &mut self,
        name: &str,
        arguments: &mut Arguments,
    ) -> Option<Nanos> {
        let (ident, length) = arguments.expr(name)?;
        let duration = positive_duration(name, &length, &mut arguments.errors);
        self.set_at(&ident, &duration);
        duration?.literal().copied()
    }

    /// Adds the calls for `wait` and `max_waiting`, if they were given. `may_wait` says whether calls may wait
    /// without `wait`.
    pub(crate) fn set_wait(&mut self, wait: &WaitArgs, may_wait: bool, errors: &mut Errors) {
        match &wait.wait {
            None => {}
            Some(Wait::Unlimited) => self.set("wait", TokenStream::new()),
            Some(Wait::AtMost(longest)) => self.set("wait_at_most", duration(longest, errors)),
        }
        let Some((name, calls)) = &wait.max_waiting else {
            return;
        };
        if wait.wait.is_none() && !may_wait {
            errors.push_at(
                name.span(),
                "`max_waiting` is for calls that wait: give `wait`, too",
            );
        }
        self.set_at(name, positive("max_waiting", calls, errors));
    }

    /// Adds the calls for `max_debt` and `on_drop`, if they were given.
    pub(crate) fn set_settling(&mut self, settling: &SettlingArgs, errors: &mut Errors) {
        if settling.settle.is_none() {
            for name in settling.names() {
                let message = format!("`{name}` is for calls that are settled: give `settle`, too");
                errors.push_at(name.span(), message);
            }
        }
        if let Some((name, debt)) = &settling.max_debt {
            self.set_at(name, units("max_debt", debt, errors));
        }
        let Some((_, on_drop)) = &settling.on_drop else {
            return;
        };
        let text = match literal(on_drop) {
            Some(Literal::Text(text)) => text.value(),
            _ => String::new(),
        };
        match text.as_str() {
            "keep" => {}
            "refund" => self.set("refund_on_drop", TokenStream::new()),
            _ => errors.push(Error::new_spanned(
                on_drop,
                "expected `on_drop = \"keep\"` or `on_drop = \"refund\"`",
            )),
        }
    }
}

impl ToTokens for Setters {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}
