//! Limits: algorithms, rates, sizes of buckets and costs.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Error, Expr, LitStr, Result};

use super::checked::{Checked, Nanos};
use super::values::{parse_duration, whole};
use crate::parse::errors::Errors;
use crate::parse::limit::{LimitArgs, NamedExpr};
use crate::parse::literal::{Literal, literal, peel};

const ALGORITHMS: &str =
    "fixed_window, sliding_window, sliding_log, token_bucket (or gcra), leaky_bucket";

/// An algorithm that the user named by a string literal.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Algorithm {
    FixedWindow,
    SlidingWindow,
    SlidingLog,
    TokenBucket,
    LeakyBucket,
}

impl Algorithm {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "fixed_window" => Some(Self::FixedWindow),
            "sliding_window" => Some(Self::SlidingWindow),
            "sliding_log" => Some(Self::SlidingLog),
            "token_bucket" | "gcra" => Some(Self::TokenBucket),
            "leaky_bucket" => Some(Self::LeakyBucket),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed_window",
            Self::SlidingWindow => "sliding_window",
            Self::SlidingLog => "sliding_log",
            Self::TokenBucket => "token_bucket",
            Self::LeakyBucket => "leaky_bucket",
        }
    }

    /// Whether the state grows with the admitted units, so that the quota needs a lower bound.
    const fn remembers_units(self) -> bool {
        match self {
            Self::SlidingLog => true,
            Self::FixedWindow | Self::SlidingWindow | Self::TokenBucket | Self::LeakyBucket => {
                false
            }
        }
    }

    /// Whether an admitted call may have to wait for its slot.
    pub(crate) const fn is_queue(self) -> bool {
        match self {
            Self::LeakyBucket => true,
            Self::FixedWindow | Self::SlidingWindow | Self::SlidingLog | Self::TokenBucket => false,
        }
    }

    /// Whether `lease` applies to this algorithm: its units need not be counted one by one.
    const fn takes_lease(self) -> bool {
        match self {
            Self::FixedWindow | Self::SlidingWindow | Self::TokenBucket => true,
            Self::SlidingLog | Self::LeakyBucket => false,
        }
    }

    /// The argument that sets the size of this algorithm's bucket, described for messages.
    const fn size_hint(self) -> &'static str {
        match self {
            Self::FixedWindow | Self::SlidingWindow | Self::SlidingLog => "",
            Self::TokenBucket => ": its bucket is `burst`",
            Self::LeakyBucket => ": its queue is `bucket_size`",
        }
    }
}

/// A quota per period.
pub(crate) enum Rate {
    /// The quota and the period.
    Quota(Checked<u64>, Checked<Nanos>),
    /// An expression in place of a string such as `"3/5s"`.
    Runtime(Checked<LitStr>),
}

/// The sizes of the buckets of the algorithms that have one.
pub(crate) struct Sizes {
    pub(crate) burst: Option<Checked<u64>>,
    pub(crate) bucket_size: Option<Checked<u64>>,
}

/// Returns the algorithm if a string literal names it. The runtime reads other expressions.
pub(crate) fn check_algorithm(algo: &Expr, errors: &mut Errors) -> Option<Algorithm> {
    let name = match literal(algo)? {
        Literal::Text(text) => text.value(),
        _ => String::new(),
    };
    let algorithm = Algorithm::from_name(&name);
    if algorithm.is_none() {
        errors.push(Error::new_spanned(
            algo,
            format!("unknown algorithm: expected one of {ALGORITHMS}"),
        ));
    }
    algorithm
}

/// Checks `quota` with `duration`, or `rate`, or `limits`, of which exactly one must be given.
pub(crate) fn check_rates(
    limit: &LimitArgs,
    algorithm: Option<Algorithm>,
    errors: &mut Errors,
) -> Vec<Rate> {
    let sources = [
        limit
            .quota
            .as_ref()
            .or(limit.duration.as_ref())
            .map(|(name, _)| name),
        limit.rate.as_ref().map(|(name, _)| name),
        limit.limits.as_ref().map(|(name, _)| name),
    ];
    let mut given = sources.into_iter().flatten();
    let Some(first) = given.next() else {
        errors.push_at(
            limit.span,
            "missing limit: give `quota = 3, duration = \"5s\"`, `rate = \"3/5s\"` or `limits(\"5/s\", \"100/min\")`",
        );
        return Vec::new();
    };
    if let Some(second) = given.next() {
        errors.push_at(
            second.span(),
            format!("`{second}` cannot be given together with `{first}`"),
        );
        return Vec::new();
    }
    if let Some((_, rate)) = &limit.rate {
        return check_rate(rate, algorithm, errors).into_iter().collect();
    }
    if let Some((name, limits)) = &limit.limits {
        if limits.is_empty() {
            errors.push_at(
                name.span(),
                "expected at least one rate, as in `limits(\"5/s\", \"100/min\")`",
            );
        }
        return limits
            .iter()
            .filter_map(|rate| check_rate(rate, algorithm, errors))
            .collect();
    }
    match (&limit.quota, &limit.duration) {
        (Some((_, quota)), Some((_, duration))) => {
            check_quota_and_duration(quota, duration, algorithm, errors)
                .into_iter()
                .collect()
        }
        (Some((name, quota)), None) => {
            errors.keep(whole("quota", quota, premier_parse::check_quota));
            errors.push_at(
                name.span(),
                "missing `duration`: how long the quota is for, as in `duration = \"5s\"`",
            );
            Vec::new()
        }
        _ => {
            errors.push_at(
                first.span(),
                "missing `quota`: how many calls the duration admits, as in `quota = 3`",
            );
            Vec::new()
        }
    }
}

fn check_quota_and_duration(
    quota: &Expr,
    duration: &Expr,
    algorithm: Option<Algorithm>,
    errors: &mut Errors,
) -> Option<Rate> {
    let number = errors.keep(whole("quota", quota, premier_parse::check_quota));
    let period = errors.keep(check_period(duration));
    if let (Some(Checked::Literal(number)), Some(Checked::Literal(period))) = (&number, &period)
        && let Err(message) = premier_parse::check_rate(*number, period.0)
    {
        errors.push(Error::new_spanned(quota, message));
    }
    if let Some(Checked::Literal(number)) = number {
        check_log_quota(number, quota, algorithm, errors);
    }
    Some(Rate::Quota(number?, period?))
}

fn check_period(duration: &Expr) -> Result<Checked<Nanos>> {
    let period = parse_duration(duration)?;
    if let Checked::Literal(Nanos(nanos)) = period {
        premier_parse::check_period(nanos)
            .map_err(|message| Error::new_spanned(duration, message))?;
    }
    Ok(period)
}

fn check_rate(rate: &Expr, algorithm: Option<Algorithm>, errors: &mut Errors) -> Option<Rate> {
    match literal(rate) {
        Some(Literal::Text(text)) => match premier_parse::parse_rate(&text.value()) {
            Ok((quota, nanos)) => {
                check_log_quota(quota, rate, algorithm, errors);
                Some(Rate::Quota(
                    Checked::Literal(quota),
                    Checked::Literal(Nanos(nanos)),
                ))
            }
            Err(message) => {
                errors.push_at(text.span(), message);
                None
            }
        },
        Some(_) => {
            errors.push(Error::new_spanned(
                rate,
                "expected a rate as a string, as in \"3/5s\" or \"100/min\"",
            ));
            None
        }
        // Numbers can be divided and no rate is a number, so this is a string without its quotes.
        None if matches!(peel(rate), Expr::Binary(_)) => {
            let text: String = rate.to_token_stream().to_string();
            errors.push(Error::new_spanned(
                rate,
                format!("a rate is a string: write \"{}\"", text.replace(' ', "")),
            ));
            None
        }
        None => Some(Rate::Runtime(Checked::Runtime(rate.clone()))),
    }
}

/// Checks that a sliding log, which stores every call, stays small.
fn check_log_quota(quota: u64, source: &Expr, algorithm: Option<Algorithm>, errors: &mut Errors) {
    if algorithm.is_some_and(Algorithm::remembers_units)
        && let Err(message) = premier_parse::check_log_quota(quota)
    {
        errors.push(Error::new_spanned(source, message));
    }
}

/// Checks `burst` and `bucket_size`, each of which is for one algorithm only.
pub(crate) fn check_sizes(
    limit: &LimitArgs,
    algorithm: Option<Algorithm>,
    errors: &mut Errors,
) -> Sizes {
    let mut size = |argument: &NamedExpr,
                    owner: Algorithm,
                    check: fn(u128) -> std::result::Result<u64, String>| {
        let (name, expr) = argument.as_ref()?;
        check_owner(name, owner, algorithm, errors);
        errors.keep(whole(&name.to_string(), expr, check))
    };
    Sizes {
        burst: size(
            &limit.burst,
            Algorithm::TokenBucket,
            premier_parse::check_burst,
        ),
        bucket_size: size(
            &limit.bucket_size,
            Algorithm::LeakyBucket,
            premier_parse::check_bucket_size,
        ),
    }
}

/// Checks `lease`, which is for one limit whose units need not be counted one by one.
pub(crate) fn check_lease<'a>(
    limit: &'a LimitArgs,
    algorithm: Option<Algorithm>,
    errors: &mut Errors,
) -> Option<&'a Expr> {
    const EXPECTED: &str = "expected a percentage from \"1%\" to \"100%\" or a number of units";
    let (name, lease) = limit.lease.as_ref()?;
    if let Some(algorithm) = algorithm.filter(|algorithm| !algorithm.takes_lease()) {
        let message = format!(
            "`lease` is for token_bucket, fixed_window and sliding_window, not for {}",
            algorithm.name()
        );
        errors.push_at(name.span(), message);
    }
    if let Some((_, limits)) = &limit.limits
        && limits.len() > 1
    {
        errors.push_at(
            name.span(),
            "`lease` is for one limit that decides alone, not for `limits`",
        );
    }
    let is_valid = match literal(lease) {
        Some(Literal::Text(text)) => match text.value().strip_suffix('%') {
            Some(percent) => percent
                .trim_end()
                .parse::<u8>()
                .is_ok_and(|percent| (1..=100).contains(&percent)),
            None => text
                .value()
                .replace('_', "")
                .parse::<u64>()
                .is_ok_and(|units| units > 0),
        },
        Some(Literal::Whole { .. }) => number_in(lease).is_some_and(|units| units > 0),
        Some(_) => false,
        None => true,
    };
    if !is_valid {
        errors.push(Error::new_spanned(lease, EXPECTED));
    }
    Some(lease)
}

/// Checks that `argument` is given for its algorithm, `owner`, or for one that is not known yet.
fn check_owner(
    argument: &Ident,
    owner: Algorithm,
    algorithm: Option<Algorithm>,
    errors: &mut Errors,
) {
    if let Some(algorithm) = algorithm.filter(|&algorithm| algorithm != owner) {
        errors.push_at(
            argument.span(),
            format!(
                "`{argument}` is for {}, not for {}{}",
                owner.name(),
                algorithm.name(),
                algorithm.size_hint(),
            ),
        );
    }
}

/// Checks that the limit can admit a call with this cost, if all numbers are literals.
pub(crate) fn check_capacity(
    limit: &LimitArgs,
    algorithm: Option<Algorithm>,
    cost: Option<&Expr>,
    errors: &mut Errors,
) {
    let given = |argument: &NamedExpr| argument.as_ref().map(|(_, expr)| number_in(expr));
    let (Some(algorithm), Some(Some(quota)), Some(cost_expr)) =
        (algorithm, given(&limit.quota), cost)
    else {
        return;
    };
    let capacity = match algorithm {
        Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::SlidingLog => Some(quota),
        Algorithm::TokenBucket => given(&limit.burst).unwrap_or(Some(quota)),
        // One call leaks at once, the others fill the queue.
        Algorithm::LeakyBucket => given(&limit.bucket_size)
            .unwrap_or(Some(quota))
            .map(|size| size.saturating_add(1)),
    };
    if let (Some(capacity), Some(cost)) = (capacity, number_in(cost_expr))
        && cost > capacity
    {
        errors.push(Error::new_spanned(
            cost_expr,
            format!("a call that costs {cost} is never admitted: the limit gives at most {capacity} at once"),
        ));
    }
}

fn number_in(expr: &Expr) -> Option<u64> {
    match literal(expr) {
        Some(Literal::Whole {
            digits,
            negative: false,
            ..
        }) => digits.parse().ok(),
        _ => None,
    }
}
