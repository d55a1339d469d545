//! `#[throttle]` limits the rate of calls.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, LitStr, Result};

use crate::expand::arguments::borrow_patterns;
use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::crate_path::take_crate_path;
use crate::expand::expansion::{Deferred, Expansion, Layer};
use crate::expand::key::{KeyTokens, borrow_for_key, import_key_traits};
use crate::expand::setters::Setters;
use crate::parse::arguments::{Arguments, Wait};
use crate::parse::errors::Errors;
use crate::parse::function::Function;
use crate::parse::key::{Key, KeyArgs};
use crate::parse::limit::LimitArgs;
use crate::validate::callback::take_on_reject;
use crate::validate::checked::Checked;
use crate::validate::key::{check_independent, check_key};
use crate::validate::limit::{Rate, check_algorithm, check_capacity, check_rates, check_sizes};
use crate::validate::values;

const KNOWN: &str = "quota, duration, rate, limits, algo, burst, bucket_size, keymaker, key, cost, wait, name, on_reject, crate";

/// The arguments as the user wrote them.
struct ThrottleArgs {
    limit: LimitArgs,
    key: KeyArgs,
    cost: Option<Expr>,
    wait: Option<Wait>,
    name: Option<LitStr>,
    on_reject: Option<Expr>,
    crate_path: TokenStream,
}

struct Throttle {
    /// How many `#[throttle]`s are above this one on the function.
    index: usize,
    setters: Setters,
    key: Option<Key>,
    cost: Option<Checked<u64>>,
    on_reject: Option<Expr>,
    crate_path: TokenStream,
}

pub(super) fn parse(
    tokens: TokenStream,
    function: &Function,
    index: usize,
) -> Result<Box<dyn Layer>> {
    let mut arguments = Arguments::parse("throttle", KNOWN, tokens)?;
    let args = ThrottleArgs::take(&mut arguments);
    let errors = &mut arguments.errors;
    let mut setters = args.setters(errors);
    if index > 0 {
        setters.set("index", index);
    }
    args.check_independent(function, errors);
    let key = check_key(args.key, function, errors);
    let cost = args.cost.and_then(|cost| values::cost(&cost, errors));
    arguments.finish(Box::new(Throttle {
        index,
        setters,
        key,
        cost,
        on_reject: args.on_reject,
        crate_path: args.crate_path,
    }))
}

impl ThrottleArgs {
    fn take(arguments: &mut Arguments) -> Self {
        Self {
            limit: LimitArgs::take(arguments),
            key: KeyArgs::take(arguments),
            cost: arguments.expr("cost").map(|(_, cost)| cost),
            wait: arguments.wait("2s"),
            name: arguments.text("name"),
            on_reject: take_on_reject(arguments),
            crate_path: take_crate_path(arguments),
        }
    }

    /// Checks the limit and returns its configuration.
    fn setters(&self, errors: &mut Errors) -> Setters {
        let mut setters = Setters::default();
        let algo = self.limit.algo.as_ref();
        let algorithm = algo.and_then(|algo| check_algorithm(algo, errors));
        if let Some(name) = &self.name {
            setters.set("name", name);
        }
        if let Some(algo) = algo {
            setters.set("algo", algo);
        }
        for rate in check_rates(&self.limit, algorithm, errors) {
            match rate {
                Rate::Quota(quota, period) => setters.set("quota", quote!(#quota, #period)),
                Rate::Runtime(rate) => setters.set("rate", rate),
            }
        }
        let sizes = check_sizes(&self.limit, algorithm, errors);
        if let Some(burst) = sizes.burst {
            setters.set("burst", burst);
        }
        if let Some(size) = sizes.bucket_size {
            setters.set("bucket_size", size);
        }
        setters.set_wait(self.wait.as_ref(), errors);
        check_capacity(&self.limit, algorithm, self.cost.as_ref(), errors);
        setters
    }

    /// Checks that the limit is the same for all calls.
    fn check_independent(&self, function: &Function, errors: &mut Errors) {
        let longest_wait = match &self.wait {
            Some(Wait::AtMost(longest)) => Some(longest),
            Some(Wait::Unlimited) | None => None,
        };
        for expr in self.limit.exprs().chain(longest_wait) {
            check_independent(expr, function, errors);
        }
    }
}

impl Layer for Throttle {
    fn crate_path(&self) -> &TokenStream {
        &self.crate_path
    }

    fn can_reject(&self) -> bool {
        self.on_reject.is_none()
    }

    fn may_end_call(&self) -> bool {
        true
    }

    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        let enter = match (expansion.function.is_async(), &self.key) {
            (true, _) => "enter_async",
            (false, Some(_)) => "enter_by_key",
            (false, None) => "enter",
        };
        let enter = Ident::new(enter, Span::mixed_site());
        let admission = self.admission(expansion.function, &enter);
        let rejection = self.rejection(expansion, index);
        quote!(#admission #rejection #inner)
    }

    fn deferred(&self, expansion: &Expansion<'_>, index: usize) -> Option<Deferred> {
        Some(Deferred {
            at_call: self.admission(
                expansion.function,
                &Ident::new("enter_deferred", Span::mixed_site()),
            ),
            at_first_poll: self.rejection(expansion, index),
        })
    }
}

impl Throttle {
    /// Returns the statement that asks for admission, by the method `enter` of the call site.
    fn admission(&self, function: &Function, enter: &Ident) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let admission = self.admission_name();
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Throttle",
            &self.setters,
            function,
            Sharing::OwnGenerics,
        );
        let key = self.key.as_ref();
        let borrows = match &self.cost {
            Some(_) => Some(borrow_patterns(function)),
            None => key.and_then(|key| borrow_for_key(key, function)),
        };
        let cost = match &self.cost {
            Some(cost) => quote_spanned!(span=> #crate_path::__private::cost(#cost)),
            None => quote_spanned!(span=> #crate_path::__private::UnitCost),
        };
        let (bind, key) = match key {
            Some(key) => {
                let import_key_traits = import_key_traits(crate_path);
                let KeyTokens { statements, value } = KeyTokens::new(key, function, crate_path);
                (quote!(#import_key_traits #statements), value)
            }
            None => (
                TokenStream::new(),
                quote_spanned!(span=> #crate_path::__private::NoKey),
            ),
        };
        quote_spanned! {span=>
            let #admission = {
                #items
                #borrows
                #[allow(unused_braces, unused_parens)]
                let __premier_cost = #cost;
                #bind
                let __premier_admission = __PREMIER_SITE.#enter(
                    #instance,
                    #key,
                    __premier_cost,
                );
                __premier_admission
            };
        }
    }

    /// Returns the statement that leaves the function if the call was not admitted.
    fn rejection(&self, expansion: &Expansion<'_>, index: usize) -> TokenStream {
        let span = Span::mixed_site();
        let admission = self.admission_name();
        let error = Ident::new("__premier_error", span);
        let output = expansion.rejection(&error, self.on_reject.as_ref(), index);
        let wait = match (expansion.function.is_async(), &self.key) {
            (true, _) => quote_spanned!(span=> .await),
            (false, Some(_)) => quote_spanned!(span=> .wait()),
            (false, None) => {
                return quote_spanned! {span=>
                    if let ::core::result::Result::Err(#error) = #admission {
                        return #output;
                    }
                };
            }
        };
        // Most calls are admitted at once. For the others, the statement before has ended, with all that
        // the key borrowed or locked.
        quote_spanned! {span=>
            if let ::core::option::Option::Some(#admission) = #admission {
                if let ::core::result::Result::Err(#error) = #admission #wait {
                    return #output;
                }
            }
        }
    }

    fn admission_name(&self) -> Ident {
        format_ident!(
            "__premier_admission_{}",
            self.index,
            span = Span::mixed_site()
        )
    }
}
