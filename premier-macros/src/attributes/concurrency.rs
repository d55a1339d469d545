//! `#[concurrency]` limits how many calls run at the same time (a bulkhead).

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::{Expr, Result};

use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::crate_path::take_crate_path;
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::key::KeyTokens;
use crate::expand::setters::Setters;
use crate::parse::arguments::Arguments;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::key::{Key, KeyArgs};
use crate::parse::wait::WaitArgs;
use crate::validate::callback::take_on_reject;
use crate::validate::key::{check_independent, check_key};

const KNOWN: &str = "limit, wait, max_waiting, key, keymaker, name, on_reject, crate";

struct Concurrency {
    setters: Setters,
    key: Option<Key>,
    on_reject: Option<Expr>,
    crate_path: TokenStream,
}

pub(super) fn parse(invocation: Invocation, function: &Function) -> Result<Box<dyn Layer>> {
    let mut arguments = Arguments::parse("concurrency", KNOWN, invocation)?;
    let mut setters = Setters::default();
    if !setters.take_positive("limit", &mut arguments) {
        arguments.report_missing("`limit = 10`: how many calls may run at a time");
    }
    let wait = WaitArgs::take(&mut arguments, "1s");
    setters.set_wait(&wait, false, &mut arguments.errors);
    check_independent(&setters, function, &mut arguments.errors);
    setters.take_text("name", &mut arguments);
    let key = KeyArgs::take(&mut arguments);
    let concurrency = Concurrency {
        setters,
        key: check_key(key, function, &mut arguments.errors),
        on_reject: take_on_reject(&mut arguments),
        crate_path: take_crate_path(&mut arguments),
    };
    arguments.finish(Box::new(concurrency))
}

impl Layer for Concurrency {
    fn crate_path(&self) -> &TokenStream {
        &self.crate_path
    }

    fn encloses_body(&self) -> bool {
        false
    }

    fn can_reject(&self) -> bool {
        self.on_reject.is_none()
    }

    fn may_end_call(&self) -> bool {
        true
    }

    /// The permit is a variable of the block, so it is released when `inner` has run.
    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Concurrency",
            &self.setters,
            expansion.function,
            Sharing::OwnGenerics,
        );
        let error = Ident::new("__premier_error", span);
        let rejection = expansion.rejection(&error, self.on_reject.as_ref(), index);
        let awaited = expansion.awaited();
        let permit = quote_spanned!(span=> __premier_permit);
        let turn = quote_spanned!(span=> __premier_turn);
        let unwrap_turn = Expansion::let_ok_or_return(&turn, &turn, &error, &rejection);
        let wait = expansion.method("wait");
        let unwrap_permit = Expansion::let_ok_or_return(
            &permit,
            &quote_spanned!(span=> #turn.#wait() #awaited),
            &error,
            &rejection,
        );
        let KeyTokens { statements, value } =
            KeyTokens::of(self.key.as_ref(), expansion.function, crate_path);
        // The statement ends before waiting begins, with all that the key borrowed or locked.
        quote_spanned! {span=>
            let __premier_turn = {
                #items
                #statements
                let __premier_turn = __PREMIER_SITE.enter(#instance, #value);
                __premier_turn
            };
            #unwrap_turn
            #unwrap_permit
            #inner
        }
    }
}
