//! `#[throttle]`: its arguments, their rules, and what it expands to.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Expr, LitStr, Result};

use crate::arguments::{Argument, Arguments, Errors, Literal, Value, literal, peel};
use crate::function::{Function, Shape};
use crate::key::{self, Key};
use crate::{crate_path, quantity};

const KNOWN: &str = "quota, duration, rate, limits, algo, burst, bucket_size, keymaker, key, cost, wait, name, on_reject, crate";
const ALGORITHMS: &str =
    "fixed_window, sliding_window, sliding_log, token_bucket (or gcra), leaky_bucket";

/// The arguments of one `#[throttle]`, validated.
pub(crate) struct Throttle {
    nth: usize,
    /// Calls on the `Spec`, in order.
    spec: TokenStream,
    key: Option<Key>,
    cost: Option<Expr>,
    pub(crate) on_reject: Option<Expr>,
    krate: TokenStream,
}

/// Arguments as written, each at most once.
#[derive(Default)]
struct Written {
    quota: Option<(Ident, Expr)>,
    duration: Option<(Ident, Expr)>,
    rate: Option<(Ident, Expr)>,
    limits: Option<(Ident, Vec<Expr>)>,
    algo: Option<Expr>,
    burst: Option<(Ident, Expr)>,
    bucket_size: Option<(Ident, Expr)>,
    keymaker: Option<(Ident, Expr)>,
    key: Option<(Ident, Expr)>,
    cost: Option<Expr>,
    wait: Option<(Ident, Option<Expr>)>,
    name: Option<LitStr>,
    on_reject: Option<Expr>,
    krate: Option<syn::Path>,
}

impl Throttle {
    /// `nth` counts premier's attributes above this one.
    pub(crate) fn parse(tokens: TokenStream, function: &Function, nth: usize) -> Result<Self> {
        let mut errors = Errors::default();
        let arguments: Arguments = syn::parse2(tokens)?;
        let written = Written::sort(arguments, &mut errors);
        let algo = written
            .algo
            .as_ref()
            .and_then(|algo| errors.keep(known_algo(algo)).flatten());
        let mut spec = TokenStream::new();
        if let Some(name) = &written.name {
            spec.extend(quote!(.name(#name)));
        }
        if let Some(expr) = &written.algo {
            spec.extend(quote!(.algo(#expr)));
        }
        spec.extend(written.rates(algo, &mut errors));
        spec.extend(written.sizes(algo, &mut errors));
        spec.extend(written.wait(&mut errors));
        let key = written.key(function, &mut errors);
        let cost = written
            .cost
            .filter(|cost| errors.keep(check_cost(cost)).is_some());
        if let Some(on_reject) = &written.on_reject {
            errors.keep(check_on_reject(on_reject));
        }
        errors.or(Self {
            nth,
            spec,
            key,
            cost,
            on_reject: written.on_reject,
            krate: crate_path::crate_path(written.krate.as_ref()),
        })
    }

    /// The path of premier as this attribute names it.
    pub(crate) fn krate(&self) -> &TokenStream {
        &self.krate
    }

    /// The statement that asks for admission.
    pub(crate) fn admission(&self, function: &Function) -> TokenStream {
        let Self {
            nth, spec, krate, ..
        } = self;
        let admission = self.admission_name();
        let enter = Ident::new(
            match function.shape {
                Shape::Sync => "enter",
                Shape::Async | Shape::BoxedBlock => "enter_async",
                Shape::Future | Shape::BoxedFuture => "enter_deferred",
            },
            Span::mixed_site(),
        );
        let parts = match (&self.key, &self.cost) {
            (Some(Key::Expr(_) | Key::Format(_)), _) | (_, Some(_)) => function.borrowed_parts(),
            _ => TokenStream::new(),
        };
        let span = Span::mixed_site();
        let cost = match &self.cost {
            Some(cost) => quote_spanned!(span=> #krate::__private::cost(#cost)),
            None => quote_spanned!(span=> ::core::result::Result::Ok(1)),
        };
        let (bind, key) = match &self.key {
            Some(key) => key.expand(function, krate),
            None => (
                TokenStream::new(),
                quote_spanned!(span=> ::core::option::Option::None::<&::core::primitive::str>),
            ),
        };
        quote_spanned! {span=>
            let #admission = {
                static __PREMIER_SITE: #krate::__private::Site = #krate::__private::Site::new();
                #[allow(clippy::missing_const_for_fn)]
                fn __premier_here() {}
                #parts
                let __premier_cost = #cost;
                #bind
                let __premier_admission = __PREMIER_SITE.#enter(
                    || #krate::__private::Spec::new(::core::module_path!(), __premier_here, #nth) #spec,
                    #key,
                    __premier_cost,
                );
                __premier_admission
            };
        }
    }

    /// The statement that leaves when admission was refused.
    pub(crate) fn refusal(&self, function: &Function, wraps: bool) -> TokenStream {
        let krate = &self.krate;
        let admission = self.admission_name();
        let span = Span::mixed_site();
        let error = Ident::new("__premier_error", span);
        let value = match &self.on_reject {
            Some(on_reject) => {
                let value = key::apply(on_reject, &error, &quote_spanned!(span=> #krate::Error));
                if wraps {
                    quote_spanned!(span=> ::core::result::Result::Ok(#value))
                } else {
                    value
                }
            }
            None if wraps => quote_spanned!(span=> ::core::result::Result::Err(#error)),
            None => {
                let span = function.error_span().resolved_at(span);
                let krate = crate_path::at(krate, span);
                quote_spanned! {span=>
                    ::core::result::Result::Err(#krate::__private::FromRejection::from_rejection(#error))
                }
            }
        };
        let awaited = function.is_async().then(|| quote_spanned!(span=> .await));
        quote_spanned! {span=>
            if let ::core::result::Result::Err(#error) = #admission #awaited {
                return #value;
            }
        }
    }

    fn admission_name(&self) -> Ident {
        format_ident!(
            "__premier_admission_{}",
            self.nth,
            span = Span::mixed_site()
        )
    }
}

impl Written {
    fn sort(arguments: Arguments, errors: &mut Errors) -> Self {
        let mut written = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        for argument in arguments.0 {
            let name = argument.name.clone();
            if seen.contains(&name) {
                errors.at(name.span(), format!("`{name}` is given twice"));
                continue;
            }
            seen.push(name.clone());
            let sorted = written.take(argument);
            errors.keep(sorted);
        }
        written
    }

    fn take(&mut self, argument: Argument) -> Result<()> {
        let name = argument.name.clone();
        match name.to_string().as_str() {
            "quota" => self.quota = Some((name, argument.expr()?)),
            "duration" => self.duration = Some((name, argument.expr()?)),
            "rate" => self.rate = Some((name, argument.expr()?)),
            "limits" => match argument.value {
                Value::List(limits) => self.limits = Some((name, limits)),
                _ => {
                    return Err(Error::new(
                        name.span(),
                        "expected `limits(\"5/s\", \"100/min\")`",
                    ));
                }
            },
            "algo" => self.algo = Some(argument.expr()?),
            "burst" => self.burst = Some((name, argument.expr()?)),
            "bucket_size" => self.bucket_size = Some((name, argument.expr()?)),
            "keymaker" => self.keymaker = Some((name, argument.expr()?)),
            "key" => self.key = Some((name, argument.expr()?)),
            "cost" => self.cost = Some(argument.expr()?),
            "wait" => match argument.value {
                Value::Flag => self.wait = Some((name, None)),
                Value::Expr(expr) => self.wait = Some((name, Some(expr))),
                Value::List(_) => {
                    return Err(Error::new(
                        name.span(),
                        "expected `wait` or `wait = \"2s\"`",
                    ));
                }
            },
            "name" => {
                let text = argument.text()?;
                if text.value().is_empty() {
                    return Err(Error::new(text.span(), "the name must not be empty"));
                }
                self.name = Some(text);
            }
            "on_reject" => self.on_reject = Some(argument.expr()?),
            "crate" => match peel(&argument.expr()?) {
                Expr::Path(path) => self.krate = Some(path.path.clone()),
                other => {
                    return Err(Error::new_spanned(
                        other,
                        "expected a path, as in `crate = ::premier`",
                    ));
                }
            },
            unknown => {
                return Err(Error::new(
                    name.span(),
                    format!("unknown argument `{unknown}`: #[throttle] takes {KNOWN}"),
                ));
            }
        }
        Ok(())
    }

    /// `quota` with `duration`, or `rate`, or `limits`: one of the three.
    fn rates(&self, algo: Option<&'static str>, errors: &mut Errors) -> TokenStream {
        let sources = [
            self.quota
                .as_ref()
                .or(self.duration.as_ref())
                .map(|(name, _)| name),
            self.rate.as_ref().map(|(name, _)| name),
            self.limits.as_ref().map(|(name, _)| name),
        ];
        let mut given = sources.iter().flatten();
        let Some(first) = given.next() else {
            errors.at(
                Span::call_site(),
                "missing limit: give `quota = 3, duration = \"5s\"`, `rate = \"3/5s\"` or `limits(\"5/s\", \"100/min\")`",
            );
            return TokenStream::new();
        };
        if let Some(second) = given.next() {
            errors.at(
                second.span(),
                format!("`{second}` cannot be given together with `{first}`"),
            );
            return TokenStream::new();
        }
        if let Some((_, rate)) = &self.rate {
            return check_rate_expr(rate, algo, errors);
        }
        if let Some((name, limits)) = &self.limits {
            if limits.is_empty() {
                errors.at(
                    name.span(),
                    "expected at least one rate, as in `limits(\"5/s\", \"100/min\")`",
                );
            }
            return limits
                .iter()
                .map(|rate| check_rate_expr(rate, algo, errors))
                .collect();
        }
        match (&self.quota, &self.duration) {
            (Some((_, quota)), Some((_, duration))) => {
                check_quota_and_duration(quota, duration, algo, errors)
            }
            (Some((name, quota)), None) => {
                errors.keep(whole("quota", quota, quantity::check_quota));
                errors.at(
                    name.span(),
                    "missing `duration`: how long the quota is for, as in `duration = \"5s\"`",
                );
                TokenStream::new()
            }
            _ => {
                errors.at(
                    first.span(),
                    "missing `quota`: how many calls the duration admits, as in `quota = 3`",
                );
                TokenStream::new()
            }
        }
    }

    fn sizes(&self, algo: Option<&'static str>, errors: &mut Errors) -> TokenStream {
        let mut spec = TokenStream::new();
        if let Some((name, burst)) = &self.burst {
            if let Some(algo) = algo.filter(|&algo| algo != "token_bucket") {
                let hint = if algo == "leaky_bucket" {
                    ": its queue is `bucket_size`"
                } else {
                    ""
                };
                errors.at(
                    name.span(),
                    format!("`burst` is for token_bucket, not for {algo}{hint}"),
                );
            }
            errors.keep(whole("burst", burst, quantity::check_burst));
            spec.extend(quote!(.burst(#burst)));
        }
        if let Some((name, size)) = &self.bucket_size {
            if let Some(algo) = algo.filter(|&algo| algo != "leaky_bucket") {
                let hint = if algo == "token_bucket" {
                    ": its bucket is `burst`"
                } else {
                    ""
                };
                errors.at(
                    name.span(),
                    format!("`bucket_size` is for leaky_bucket, not for {algo}{hint}"),
                );
            }
            errors.keep(whole("bucket_size", size, quantity::check_bucket_size));
            spec.extend(quote!(.bucket_size(#size)));
        }
        spec
    }

    fn wait(&self, errors: &mut Errors) -> TokenStream {
        match &self.wait {
            None => TokenStream::new(),
            Some((_, None)) => quote!(.wait()),
            Some((_, Some(longest))) => match errors.keep(period(longest)) {
                Some(Some(nanos)) => {
                    quote!(.wait_at_most(::core::time::Duration::from_nanos(#nanos)))
                }
                _ => quote!(.wait_at_most(#longest)),
            },
        }
    }

    fn key(&self, function: &Function, errors: &mut Errors) -> Option<Key> {
        match (&self.key, &self.keymaker) {
            (Some(_), Some((name, _))) => {
                errors.at(
                    name.span(),
                    "`keymaker` cannot be given together with `key`: both say what the key is",
                );
                None
            }
            (Some((_, key)), None) => Some(Key::from_key(key.clone())),
            (None, Some((_, keymaker))) => {
                errors.keep(Key::from_keymaker(keymaker.clone(), function))
            }
            (None, None) => None,
        }
    }
}

/// The canonical name of an algorithm given as a string; other expressions are read at run time.
fn known_algo(algo: &Expr) -> Result<Option<&'static str>> {
    let Some(literal) = literal(algo) else {
        return Ok(None);
    };
    let text = match &literal {
        Literal::Text(text) => text.value(),
        _ => String::new(),
    };
    match text.as_str() {
        "fixed_window" => Ok(Some("fixed_window")),
        "sliding_window" => Ok(Some("sliding_window")),
        "sliding_log" => Ok(Some("sliding_log")),
        "token_bucket" | "gcra" => Ok(Some("token_bucket")),
        "leaky_bucket" => Ok(Some("leaky_bucket")),
        _ => Err(Error::new_spanned(
            algo,
            format!("unknown algorithm: expected one of {ALGORITHMS}"),
        )),
    }
}

fn check_quota_and_duration(
    quota: &Expr,
    duration: &Expr,
    algo: Option<&'static str>,
    errors: &mut Errors,
) -> TokenStream {
    let number = errors
        .keep(whole("quota", quota, quantity::check_quota))
        .flatten();
    let nanos =
        errors.keep(
            period(duration).and_then(|nanos| match nanos.map(quantity::check_period) {
                Some(Err(message)) => Err(Error::new_spanned(duration, message)),
                _ => Ok(nanos),
            }),
        );
    let nanos = nanos.flatten();
    if let (Some(number), Some(nanos)) = (number, nanos) {
        if let Err(message) = quantity::check_rate(number, nanos) {
            errors.push(Error::new_spanned(quota, message));
        }
    }
    check_log(number, quota, algo, errors);
    let quota = match number {
        Some(number) => quote!(#number),
        None => quote!(#quota),
    };
    match nanos {
        Some(nanos) => quote!(.quota(#quota, ::core::time::Duration::from_nanos(#nanos))),
        None => quote!(.quota(#quota, #duration)),
    }
}

fn check_log(quota: Option<u64>, at: &Expr, algo: Option<&'static str>, errors: &mut Errors) {
    if let (Some(quota), Some("sliding_log")) = (quota, algo) {
        if let Err(message) = quantity::check_log_quota(quota) {
            errors.push(Error::new_spanned(at, message));
        }
    }
}

fn check_rate_expr(rate: &Expr, algo: Option<&'static str>, errors: &mut Errors) -> TokenStream {
    match literal(rate) {
        Some(Literal::Text(text)) => match quantity::parse_rate(&text.value()) {
            Ok((quota, nanos)) => {
                check_log(Some(quota), rate, algo, errors);
                quote!(.quota(#quota, ::core::time::Duration::from_nanos(#nanos)))
            }
            Err(message) => {
                errors.at(text.span(), message);
                TokenStream::new()
            }
        },
        Some(_) => {
            errors.push(Error::new_spanned(
                rate,
                "expected a rate as a string, as in \"3/5s\" or \"100/min\"",
            ));
            TokenStream::new()
        }
        None => quote!(.rate(#rate)),
    }
}

/// A whole number that is written out; `None` for other expressions.
fn whole(
    name: &str,
    expr: &Expr,
    check: fn(u128) -> std::result::Result<u64, String>,
) -> Result<Option<u64>> {
    match literal(expr) {
        None => Ok(None),
        Some(Literal::Whole {
            digits,
            negative: false,
            span,
        }) => {
            let number = digits.parse().unwrap_or(u128::MAX);
            check(number)
                .map(Some)
                .map_err(|message| Error::new(span, message))
        }
        Some(Literal::Whole { negative: true, .. }) => Err(Error::new_spanned(
            expr,
            format!("{name} must not be negative"),
        )),
        Some(_) => Err(Error::new_spanned(
            expr,
            format!("{name} must be a whole number"),
        )),
    }
}

/// A length of time that is written out, in nanoseconds; `None` for other expressions.
fn period(expr: &Expr) -> Result<Option<u64>> {
    let parsed = match literal(expr) {
        None => return Ok(None),
        Some(Literal::Text(text)) => quantity::parse_duration(&text.value()),
        Some(Literal::Whole { negative: true, .. } | Literal::Fraction { negative: true, .. }) => {
            Err("a duration must not be negative".into())
        }
        Some(Literal::Whole { digits, .. } | Literal::Fraction { digits, .. }) => {
            quantity::parse_seconds(&digits)
        }
    };
    parsed
        .map(Some)
        .map_err(|message| Error::new_spanned(expr, message))
}

fn check_cost(cost: &Expr) -> Result<()> {
    whole("cost", cost, |cost| {
        u64::try_from(cost).map_err(|_| "cost is too large".into())
    })
    .map(drop)
}

fn check_on_reject(on_reject: &Expr) -> Result<()> {
    key::refuse_async(on_reject)?;
    if let Expr::Closure(closure) = peel(on_reject) {
        if closure.inputs.len() != 1 {
            return Err(Error::new_spanned(
                closure,
                "on_reject takes one argument, the premier::Error, as in `on_reject = |error| …`",
            ));
        }
        key::refuse_exits(&closure.body, "on_reject")?;
    }
    Ok(())
}
