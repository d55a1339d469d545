//! `#[throttle]` limits the rate of calls.

use std::iter;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::{Expr, LitStr, Result};

use crate::expand::arguments::borrow_patterns;
use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::callback::call;
use crate::expand::crate_path::take_crate_path;
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::key::KeyTokens;
use crate::expand::setters::Setters;
use crate::expand::values::{by_bound, import_bounds, units_of_callback};
use crate::parse::arguments::Arguments;
use crate::parse::errors::Errors;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::key::{Key, KeyArgs};
use crate::parse::limit::LimitArgs;
use crate::parse::limit_costs::split_limits;
use crate::parse::settling::SettlingArgs;
use crate::parse::wait::WaitArgs;
use crate::validate::callback::{take_on_reject, take_settle};
use crate::validate::checked::Checked;
use crate::validate::key::{check_independent, check_key};
use crate::validate::limit::{
    Algorithm, Rate, check_algorithm, check_capacity, check_lease, check_rates, check_sizes,
};
use crate::validate::values;

const KNOWN: &str = "quota, duration, rate, limits, algo, burst, bucket_size, lease, keymaker, key, cost, settle, max_debt, on_drop, wait, max_waiting, name, on_reject, crate";

/// The arguments as the user wrote them.
struct ThrottleArgs {
    limit: LimitArgs,
    key: KeyArgs,
    cost: Option<Expr>,
    settling: SettlingArgs,
    wait: WaitArgs,
    name: Option<LitStr>,
    on_reject: Option<Expr>,
    crate_path: TokenStream,
}

/// The throttles that stand together on a function. They decide as one.
struct Throttles(Vec<Throttle>);

struct Throttle {
    setters: Setters,
    key: Option<Key>,
    cost: Option<Checked<u64>>,
    settle: Option<Expr>,
    on_reject: Option<Expr>,
    crate_path: TokenStream,
}

/// `above` is the throttles above these on the function.
pub(super) fn parse(
    attributes: Vec<Invocation>,
    function: &Function,
    above: &[Invocation],
) -> Result<Box<dyn Layer>> {
    let mut errors = Errors::default();
    let limits_of =
        |invocation: &Invocation| split_limits(invocation).map_or(1, |parts| parts.len());
    let mut names: Vec<Option<String>> = above
        .iter()
        .flat_map(|invocation| iter::repeat_n(name_in(invocation), limits_of(invocation)))
        .collect();
    let mut throttles = Vec::with_capacity(attributes.len());
    for invocation in attributes {
        let name = name_in(&invocation);
        // The number tells limits without a name apart, and those whose name is taken.
        let index = match &name {
            Some(_) => names.iter().filter(|other| **other == name).count(),
            None => names.len(),
        };
        for (index, part) in
            (index..).zip(errors.keep(split_limits(&invocation)).into_iter().flatten())
        {
            names.push(name.clone());
            let Some(throttle) = errors.keep(Throttle::parse(part, function, index)) else {
                // Most arguments are those of the other limits, too.
                break;
            };
            throttles.push(throttle);
        }
    }
    errors.finish(Box::new(Throttles(throttles)))
}

impl ThrottleArgs {
    fn take(arguments: &mut Arguments) -> Self {
        let settle = take_settle(arguments);
        Self {
            settling: SettlingArgs::take(arguments, settle),
            limit: LimitArgs::take(arguments),
            key: KeyArgs::take(arguments),
            cost: arguments.expr("cost").map(|(_, cost)| cost),
            wait: WaitArgs::take(arguments, "2s"),
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
            setters.set("algo", by_bound(algo, "Algorithm", "into_algo"));
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
        if let Some(lease) = check_lease(&self.limit, algorithm, errors) {
            setters.set("lease", by_bound(lease, "LeaseSize", "into_lease"));
        }
        // The algorithm may be that of the configuration.
        let may_wait = algorithm.is_none_or(|algorithm| algorithm == Algorithm::LeakyBucket);
        setters.set_wait(&self.wait, may_wait, errors);
        setters.set_settling(&self.settling, errors);
        check_capacity(&self.limit, algorithm, self.cost.as_ref(), errors);
        setters
    }

    /// Checks that the limit is the same for all calls.
    fn check_independent(&self, function: &Function, errors: &mut Errors) {
        for expr in self
            .limit
            .exprs()
            .chain(self.wait.exprs())
            .chain(self.settling.max_debt.as_ref().map(|(_, debt)| debt))
        {
            check_independent(expr, function, errors);
        }
    }
}

impl Throttles {
    /// Whether the output of a call says what it has really cost.
    fn are_settled(&self) -> bool {
        self.0.iter().any(|throttle| throttle.settle.is_some())
    }
}

impl Layer for Throttles {
    fn crate_path(&self) -> &TokenStream {
        &self.0[0].crate_path
    }

    fn encloses_body(&self) -> bool {
        self.are_settled()
    }

    fn can_reject(&self) -> bool {
        self.0.iter().any(|throttle| throttle.on_reject.is_none())
    }

    fn may_end_call(&self) -> bool {
        true
    }

    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        if self.are_settled() {
            return settled(&self.0, expansion, index, inner);
        }
        let enter = match &self.0[..] {
            [only] => only.enter(expansion, index),
            several => enter_all(several, false, expansion, index),
        };
        quote!(#enter #inner)
    }
}

/// The value of `name = "…"`.
fn name_in(invocation: &Invocation) -> Option<String> {
    let tokens: Vec<TokenTree> = invocation.arguments.clone().into_iter().collect();
    tokens.windows(3).find_map(|window| match window {
        [
            TokenTree::Ident(word),
            TokenTree::Punct(equals),
            TokenTree::Literal(name),
        ] if word == "name" && equals.as_char() == '=' => Some(name.to_string()),
        _ => None,
    })
}

/// Returns statements that leave the function unless all of `throttles` admit the call. The keys are text
/// of their own, because what one key borrows cannot be kept until the last is known. Calls that are settled have
/// what they have taken in `__premier_entered` then.
fn enter_all(
    throttles: &[Throttle],
    is_settled: bool,
    expansion: &Expansion<'_>,
    index: usize,
) -> TokenStream {
    let span = Span::mixed_site();
    let crate_path = &throttles[0].crate_path;
    let part = Ident::new("part", span);
    let parts = throttles.iter().map(|throttle| {
        let Question {
            items,
            statements,
            arguments,
        } = throttle.question(expansion.function);
        quote_spanned! {span=>
            {
                #items
                #statements
                let __premier_part = __PREMIER_SITE.#part(#arguments);
                __premier_part
            }
        }
    });
    let error = Ident::new("__premier_error", span);
    let outputs = throttles
        .iter()
        .map(|throttle| expansion.rejection(&error, throttle.on_reject.as_ref(), index));
    let outputs: Vec<TokenStream> = outputs.collect();
    let output = match &outputs[..] {
        // Each returns the error: the first does so for all.
        [first, ..]
            if throttles
                .iter()
                .all(|throttle| throttle.on_reject.is_none()) =>
        {
            first.clone()
        }
        [first @ .., last] => {
            let numbers = 0..first.len();
            quote_spanned! {span=>
                match __premier_number {
                    #(#numbers => #first,)*
                    _ => #last,
                }
            }
        }
        [] => TokenStream::new(),
    };
    let awaited = expansion.awaited();
    if !is_settled {
        let enter_all = expansion.method("enter_all");
        return quote_spanned! {span=>
            let __premier_parts = [#(#parts),*];
            if let ::core::result::Result::Err((__premier_number, #error)) =
                #crate_path::__private::#enter_all(__premier_parts) #awaited
            {
                let _ = __premier_number;
                return #output;
            }
        };
    }
    let enter_all = expansion.method("enter_all_to_settle");
    quote_spanned! {span=>
        let __premier_parts = [#(#parts),*];
        let __premier_entered = match #crate_path::__private::#enter_all(__premier_parts) #awaited {
            ::core::result::Result::Ok(__premier_entered) => __premier_entered,
            ::core::result::Result::Err((__premier_number, #error)) => {
                let _ = __premier_number;
                return #output;
            }
        };
    }
}

/// Returns the code of a call that `throttles` admit, and that is settled by its output.
fn settled(
    throttles: &[Throttle],
    expansion: &Expansion<'_>,
    index: usize,
    inner: &TokenStream,
) -> TokenStream {
    let span = Span::mixed_site();
    let enter = enter_all(throttles, true, expansion, index);
    let (ascription, scope) = (expansion.ascription(), expansion.scope(inner, index));
    let crate_path = &throttles[0].crate_path;
    let import_bounds = import_bounds(crate_path);
    let output = quote_spanned!(span=> __premier_output);
    let settle = throttles.iter().enumerate().map(|(number, throttle)| {
        let callee = throttle.settle.as_ref()?;
        let units = units_of_callback(&call(callee, &output), callee);
        Some(quote_spanned! {span=>
            __premier_entered[#number].settle(#crate_path::__private::cost(#units));
        })
    });
    let settle = settle.flatten();
    // An error that the function cannot have returned is that of a layer below.
    let settle = match expansion.is_wrapped() {
        true => quote_spanned! {span=>
            if let ::core::result::Result::Ok(#output) = &__premier_outcome {
                #(#settle)*
            }
        },
        false => quote_spanned! {span=>
            let #output = &__premier_outcome;
            #(#settle)*
        },
    };
    quote_spanned! {span=>
        #enter
        let __premier_outcome #ascription = #scope;
        {
            #import_bounds
            #settle
        }
        __premier_outcome
    }
}

/// The tokens by which a call asks one throttle.
struct Question {
    items: TokenStream,
    /// Statements that come before the use of `arguments`, in the same block.
    statements: TokenStream,
    /// The instance, the key and the cost. The key may borrow from temporaries.
    arguments: TokenStream,
}

impl Throttle {
    fn parse(invocation: Invocation, function: &Function, index: usize) -> Result<Self> {
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
    fn enter(&self, expansion: &Expansion<'_>, index: usize) -> TokenStream {
        let span = Span::mixed_site();
        let error = Ident::new("__premier_error", span);
        let output = expansion.rejection(&error, self.on_reject.as_ref(), index);
        let (enter, wait) = match (expansion.function.is_async(), &self.key) {
            (true, _) => ("enter_async", Some(quote_spanned!(span=> .await))),
            (false, Some(_)) => ("enter_by_key", Some(quote_spanned!(span=> .wait()))),
            (false, None) => ("enter", None),
        };
        let enter = Ident::new(enter, span);
        let Question {
            items,
            statements,
            arguments,
        } = self.question(expansion.function);
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

    fn question(&self, function: &Function) -> Question {
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
        Question {
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
