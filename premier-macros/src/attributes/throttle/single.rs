//! One throttle, and the code by which it decides about a call.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::{Expr, Result};

use super::args::{KNOWN, ThrottleArgs};
use crate::expand::arguments::borrow_patterns;
use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::expansion::Expansion;
use crate::expand::key::KeyTokens;
use crate::expand::setters::Setters;
use crate::expand::values::import_bounds;
use crate::parse::arguments::Arguments;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::key::Key;
use crate::validate::checked::Checked;
use crate::validate::key::check_key;
use crate::validate::values;

pub(super) struct Throttle {
    setters: Setters,
    key: Option<Key>,
    cost: Option<Checked<u64>>,
    pub(super) settle: Option<Expr>,
    pub(super) on_reject: Option<Expr>,
    pub(super) crate_path: TokenStream,
}

/// The tokens by which one throttle decides about a call.
pub(super) struct DecisionTokens {
    pub(super) items: TokenStream,
    /// Statements that come before the use of `arguments`, in the same block.
    pub(super) statements: TokenStream,
    /// The instance, the key and the cost. The key may borrow from temporaries.
    pub(super) arguments: TokenStream,
}

impl Throttle {
    pub(super) fn parse(invocation: Invocation, function: &Function, index: usize) -> Result<Self> {
        let mut arguments = Arguments::parse("throttle", KNOWN, invocation)?;
        let args = ThrottleArgs::take(&mut arguments);
        let errors = &mut arguments.errors;
        let mut setters = args.setters(errors);
        if index > 0 {
            setters.set("index", index);
        }
        args.check_independent(function, errors);
        let key = check_key(args.key, function, errors);
        let cost = args.cost.and_then(|cost| values::cost(&cost, errors));
        arguments.finish(Self {
            setters,
            key,
            cost,
            settle: args.settling.settle,
            on_reject: args.on_reject,
            crate_path: args.crate_path,
        })
    }

    /// Returns statements that leave the function unless the throttle admits the call.
    pub(super) fn enter(&self, expansion: &Expansion<'_>, index: usize) -> TokenStream {
        let span = Span::mixed_site();
        let error = Ident::new("__premier_error", span);
        let output = expansion.rejection(&error, self.on_reject.as_ref(), index);
        let (enter, wait) = match (expansion.function.is_async(), &self.key) {
            (true, _) => ("enter_async", Some(quote_spanned!(span=> .await))),
            (false, Some(_)) => ("enter_by_key", Some(quote_spanned!(span=> .wait()))),
            (false, None) => ("enter", None),
        };
        let enter = Ident::new(enter, span);
        let DecisionTokens {
            items,
            statements,
            arguments,
        } = self.decision(expansion.function);
        let admission = quote_spanned! {span=>
            let __premier_admission = {
                #items
                #statements
                let __premier_admission = __PREMIER_SITE.#enter(#arguments);
                __premier_admission
            };
        };
        let Some(wait) = wait else {
            return quote_spanned! {span=>
                #admission
                if let ::core::result::Result::Err(#error) = __premier_admission {
                    return #output;
                }
            };
        };
        // Most calls are admitted at once. For the others, the statement before has ended, with all that
        // the key borrowed or locked.
        quote_spanned! {span=>
            #admission
            if let ::core::option::Option::Some(__premier_admission) = __premier_admission {
                if let ::core::result::Result::Err(#error) = __premier_admission #wait {
                    return #output;
                }
            }
        }
    }

    pub(super) fn decision(&self, function: &Function) -> DecisionTokens {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Throttle",
            &self.setters,
            function,
            Sharing::OwnGenerics,
        );
        let borrows = self.cost.as_ref().map(|_| borrow_patterns(function));
        let cost = match &self.cost {
            Some(cost) => {
                let import_bounds = import_bounds(crate_path);
                quote_spanned!(span=> #crate_path::__private::cost({ #import_bounds #cost }))
            }
            None => quote_spanned!(span=> #crate_path::__private::UnitCost),
        };
        let KeyTokens { statements, value } =
            KeyTokens::of(self.key.as_ref(), function, crate_path);
        DecisionTokens {
            items,
            statements: quote_spanned! {span=>
                #borrows
                #[allow(unused_braces, unused_parens)]
                let __premier_cost = #cost;
                #statements
            },
            arguments: quote_spanned!(span=> #instance, #value, __premier_cost),
        }
    }
}
