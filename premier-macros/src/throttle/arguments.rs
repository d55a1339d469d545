//! The arguments of `#[throttle]` and their rules.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Error, Expr, LitStr, Result};

use crate::arguments::{Argument, Arguments, Errors, Literal, Value, literal, peel, period, whole};
use crate::function::Function;
use crate::key::{self, Key};
use crate::quantity;

const KNOWN: &str = "quota, duration, rate, limits, algo, burst, bucket_size, keymaker, key, cost, wait, name, on_reject, crate";
const ALGORITHMS: &str =
    "fixed_window, sliding_window, sliding_log, token_bucket (or gcra), leaky_bucket";

/// Arguments as written, each at most once.
#[derive(Default)]
pub(super) struct Written {
    pub(super) quota: Option<(Ident, Expr)>,
    pub(super) duration: Option<(Ident, Expr)>,
    pub(super) rate: Option<(Ident, Expr)>,
    pub(super) limits: Option<(Ident, Vec<Expr>)>,
    pub(super) algo: Option<Expr>,
    pub(super) burst: Option<(Ident, Expr)>,
    pub(super) bucket_size: Option<(Ident, Expr)>,
    pub(super) keymaker: Option<(Ident, Expr)>,
    pub(super) key: Option<(Ident, Expr)>,
    pub(super) cost: Option<Expr>,
    pub(super) wait: Option<(Ident, Option<Expr>)>,
    pub(super) name: Option<LitStr>,
    pub(super) on_reject: Option<Expr>,
    pub(super) krate: Option<syn::Path>,
}

impl Written {
    /// Tells the arguments apart; what is unknown or given twice is an error.
    pub(super) fn sort(arguments: Arguments, errors: &mut Errors) -> Self {
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
    pub(super) fn rates(&self, algo: Option<&'static str>, errors: &mut Errors) -> TokenStream {
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

    pub(super) fn sizes(&self, algo: Option<&'static str>, errors: &mut Errors) -> TokenStream {
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

    pub(super) fn wait(&self, errors: &mut Errors) -> TokenStream {
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

    pub(super) fn key(&self, function: &Function, errors: &mut Errors) -> Option<Key> {
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
pub(super) fn known_algo(algo: &Expr) -> Result<Option<&'static str>> {
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
    if let (Some(number), Some(nanos)) = (number, nanos)
        && let Err(message) = quantity::check_rate(number, nanos)
    {
        errors.push(Error::new_spanned(quota, message));
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
    if let (Some(quota), Some("sliding_log")) = (quota, algo)
        && let Err(message) = quantity::check_log_quota(quota)
    {
        errors.push(Error::new_spanned(at, message));
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

pub(super) fn check_cost(cost: &Expr) -> Result<()> {
    whole("cost", cost, |cost| {
        u64::try_from(cost).map_err(|_| "cost is too large".into())
    })
    .map(drop)
}

pub(super) fn check_on_reject(on_reject: &Expr) -> Result<()> {
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
