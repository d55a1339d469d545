//! The arguments of `#[throttle]` and their rules.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Error, Expr, LitStr, Result};

use crate::arguments::{
    Arguments, Errors, Literal, Value, duration, literal, number, period, whole,
};
use crate::function::Function;

const KNOWN: &str = "quota, duration, rate, limits, algo, burst, bucket_size, keymaker, key, cost, wait, name, on_reject, crate";
const ALGORITHMS: &str =
    "fixed_window, sliding_window, sliding_log, token_bucket (or gcra), leaky_bucket";

/// Arguments as written.
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
    pub(super) wait: Option<Option<Expr>>,
    pub(super) name: Option<LitStr>,
    pub(super) on_reject: Option<Expr>,
    pub(super) krate: TokenStream,
}

impl Written {
    /// Tells the arguments apart.
    pub(super) fn sort(tokens: TokenStream, errors: &mut Errors) -> Result<Self> {
        let mut given = Arguments::parse("throttle", KNOWN, tokens, errors)?;
        let limits = given.take("limits").and_then(|limits| match limits.value {
            Value::List(list) => Some((limits.name, list)),
            _ => {
                errors.at(
                    limits.name.span(),
                    "expected `limits(\"5/s\", \"100/min\")`",
                );
                None
            }
        });
        let wait = given.take("wait").and_then(|wait| match wait.value {
            Value::Flag => Some(None),
            Value::Expr(longest) => Some(Some(longest)),
            _ => {
                errors.at(wait.name.span(), "expected `wait` or `wait = \"2s\"`");
                None
            }
        });
        Ok(Self {
            quota: given.expr("quota", errors),
            duration: given.expr("duration", errors),
            rate: given.expr("rate", errors),
            limits,
            algo: given.expr("algo", errors).map(|(_, algo)| algo),
            burst: given.expr("burst", errors),
            bucket_size: given.expr("bucket_size", errors),
            key: given.expr("key", errors),
            keymaker: given.expr("keymaker", errors),
            cost: given.expr("cost", errors).map(|(_, cost)| cost),
            wait,
            name: given.text("name", errors),
            on_reject: given.on_reject(errors),
            krate: given.krate(errors),
        })
    }

    /// The limit is the same for all calls.
    pub(super) fn check_independence(&self, function: &Function, errors: &mut Errors) {
        let limits = self.limits.iter().flat_map(|(_, limits)| limits);
        let named = [
            &self.quota,
            &self.duration,
            &self.rate,
            &self.burst,
            &self.bucket_size,
        ];
        let named = named.into_iter().flatten().map(|(_, expr)| expr);
        let wait = self.wait.iter().flatten();
        for expr in named.chain(limits).chain(wait).chain(&self.algo) {
            errors.keep(check_independence(expr, function));
        }
    }

    /// A cost that no limit could ever admit, where all numbers are written out.
    pub(super) fn check_capacity(&self, algo: Option<&'static str>, errors: &mut Errors) {
        let written = |expr: &Expr| match literal(expr) {
            Some(Literal::Whole {
                digits,
                negative: false,
                ..
            }) => digits.parse::<u64>().ok(),
            _ => None,
        };
        let given =
            |argument: &Option<(Ident, Expr)>| argument.as_ref().map(|(_, expr)| written(expr));
        let (Some(algo), Some(Some(quota)), Some(cost)) = (
            algo,
            given(&self.quota),
            self.cost.as_ref().and_then(written),
        ) else {
            return;
        };
        let capacity = match (algo, given(&self.burst), given(&self.bucket_size)) {
            ("token_bucket", Some(burst), _) => burst,
            ("leaky_bucket", _, Some(size)) => size.map(|size| size.saturating_add(1)),
            ("leaky_bucket", ..) => Some(quota.saturating_add(1)),
            _ => Some(quota),
        };
        if let (Some(capacity), Some(expr)) = (capacity, &self.cost)
            && cost > capacity
        {
            errors.push(Error::new_spanned(
                expr,
                format!("a call that costs {cost} is never admitted: the limit gives at most {capacity} at once"),
            ));
        }
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
                errors.keep(whole("quota", quota, premier_parse::check_quota));
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
            let burst = number("burst", burst, errors, premier_parse::check_burst);
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
            let size = number(
                "bucket_size",
                size,
                errors,
                premier_parse::check_bucket_size,
            );
            spec.extend(quote!(.bucket_size(#size)));
        }
        spec
    }

    pub(super) fn wait(&self, errors: &mut Errors) -> TokenStream {
        match &self.wait {
            None => TokenStream::new(),
            Some(None) => quote!(.wait()),
            Some(Some(longest)) => {
                let (longest, _) = duration(longest, errors);
                quote!(.wait_at_most(#longest))
            }
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
        .keep(whole("quota", quota, premier_parse::check_quota))
        .flatten();
    let nanos =
        errors.keep(period(duration).and_then(
            |nanos| match nanos.map(premier_parse::check_period) {
                Some(Err(message)) => Err(Error::new_spanned(duration, message)),
                _ => Ok(nanos),
            },
        ));
    let nanos = nanos.flatten();
    if let (Some(number), Some(nanos)) = (number, nanos)
        && let Err(message) = premier_parse::check_rate(number, nanos)
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
        && let Err(message) = premier_parse::check_log_quota(quota)
    {
        errors.push(Error::new_spanned(at, message));
    }
}

fn check_rate_expr(rate: &Expr, algo: Option<&'static str>, errors: &mut Errors) -> TokenStream {
    match literal(rate) {
        Some(Literal::Text(text)) => match premier_parse::parse_rate(&text.value()) {
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

/// Code for the cost.
pub(super) fn cost(cost: &Expr, errors: &mut Errors) -> TokenStream {
    number("cost", cost, errors, |cost| {
        u64::try_from(cost).map_err(|_| "cost is too large".into())
    })
}

/// What is evaluated once, for all calls, cannot look at the arguments of one.
pub(crate) fn check_independence(expr: &Expr, function: &Function) -> Result<()> {
    fn find(tokens: TokenStream, names: &[String]) -> Option<Ident> {
        let mut after_path_or_dot = false;
        tokens.into_iter().find_map(|token| {
            let part = std::mem::replace(
                &mut after_path_or_dot,
                matches!(&token, TokenTree::Punct(mark) if mark.as_char() == '.' || mark.as_char() == ':'),
            );
            match token {
                TokenTree::Ident(word) if !part && names.contains(&word.to_string()) => Some(word),
                TokenTree::Group(group) => find(group.stream(), names),
                _ => None,
            }
        })
    }
    let names: Vec<String> = function
        .parameters
        .iter()
        .map(|parameter| parameter.name.to_string())
        .collect();
    match find(expr.to_token_stream(), &names) {
        Some(word) => Err(Error::new(
            word.span(),
            format!(
                "`{word}` is an argument of a call, and this is evaluated once for all calls; only `key`, `keymaker` and `cost` see the arguments"
            ),
        )),
        None => Ok(()),
    }
}
