//! premier's attributes on one function, top-down.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Meta, Result};

use crate::arguments::Errors;
use crate::cache::Cache;
use crate::circuit_breaker::CircuitBreaker;
use crate::concurrency::Concurrency;
use crate::crate_path;
use crate::expand::Expansion;
use crate::function::Function;
use crate::retry::Retry;
use crate::throttle::Throttle;
use crate::timeout::Timeout;

/// Which attribute.
#[derive(Clone, Copy)]
pub(crate) enum Attribute {
    Cache,
    CircuitBreaker,
    Concurrency,
    Retry,
    Throttle,
    Timeout,
}

/// An attribute with its arguments, validated.
pub(crate) enum Layer {
    Cache(Cache),
    CircuitBreaker(CircuitBreaker),
    Concurrency(Concurrency),
    Retry(Retry),
    Throttle(Throttle),
    Timeout(Timeout),
}

impl Attribute {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "cache" => Self::Cache,
            "circuit_breaker" => Self::CircuitBreaker,
            "concurrency" => Self::Concurrency,
            "retry" => Self::Retry,
            "throttle" => Self::Throttle,
            "timeout" => Self::Timeout,
            _ => return None,
        })
    }

    fn layer(self, arguments: TokenStream, function: &Function, nth: usize) -> Result<Layer> {
        match self {
            Self::Cache => Cache::parse(arguments, function).map(Layer::Cache),
            Self::CircuitBreaker => CircuitBreaker::parse(arguments).map(Layer::CircuitBreaker),
            Self::Concurrency => Concurrency::parse(arguments).map(Layer::Concurrency),
            Self::Retry => Retry::parse(arguments).map(Layer::Retry),
            Self::Throttle => Throttle::parse(arguments, function, nth).map(Layer::Throttle),
            Self::Timeout => Timeout::parse(arguments).map(Layer::Timeout),
        }
    }

    const fn counts(self) -> bool {
        matches!(self, Self::Throttle)
    }
}

impl Layer {
    /// The path of premier as this attribute names it.
    pub(crate) fn krate(&self) -> &TokenStream {
        match self {
            Self::Cache(cache) => &cache.krate,
            Self::CircuitBreaker(breaker) => &breaker.krate,
            Self::Concurrency(concurrency) => &concurrency.krate,
            Self::Retry(retry) => &retry.krate,
            Self::Throttle(throttle) => &throttle.krate,
            Self::Timeout(timeout) => &timeout.krate,
        }
    }

    /// Whether the caller may get an error of premier's from this layer.
    pub(crate) fn refuses(&self) -> bool {
        let on_reject = match self {
            Self::Cache(_) | Self::Retry(_) => return false,
            Self::CircuitBreaker(breaker) => &breaker.on_reject,
            Self::Concurrency(concurrency) => &concurrency.on_reject,
            Self::Throttle(throttle) => &throttle.on_reject,
            Self::Timeout(timeout) => &timeout.on_reject,
        };
        on_reject.is_none()
    }

    /// Whether it may run what it encloses more than once.
    pub(crate) const fn repeats(&self) -> bool {
        matches!(self, Self::Retry(_))
    }

    /// What can only be told with the function and all layers known.
    pub(crate) fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        match self {
            Self::Cache(cache) => cache.validate(expansion),
            Self::CircuitBreaker(breaker) => breaker.validate(expansion),
            Self::Retry(retry) => retry.validate(expansion),
            Self::Timeout(timeout) => timeout.validate(expansion),
            Self::Concurrency(_) | Self::Throttle(_) => Ok(()),
        }
    }

    /// Puts this layer, the `nth`, around what it encloses.
    pub(crate) fn wrap(
        &self,
        expansion: &Expansion<'_>,
        nth: usize,
        inner: TokenStream,
    ) -> TokenStream {
        match self {
            Self::Cache(cache) => cache.wrap(expansion, nth, &inner),
            Self::CircuitBreaker(breaker) => breaker.wrap(expansion, nth, &inner),
            Self::Concurrency(concurrency) => concurrency.wrap(expansion, &inner),
            Self::Retry(retry) => retry.wrap(expansion, nth, &inner),
            Self::Throttle(throttle) => throttle.wrap(expansion, &inner),
            Self::Timeout(timeout) => timeout.wrap(expansion, nth, &inner),
        }
    }
}

/// The layers of a function, first is outermost: the attribute being expanded and those of
/// premier's that still stand on the item, which are taken off it.
///
/// An attribute counts as premier's when it is written `throttle`, `premier::throttle` or with the
/// name the manifest gives to premier. One imported under another name is left where it is; it
/// expands later and so ends up outermost.
pub(crate) fn collect(
    attribute: Attribute,
    arguments: TokenStream,
    function: &mut Function,
) -> Result<Vec<Layer>> {
    let mut written = vec![(attribute, arguments)];
    let mut errors = Errors::default();
    for (attribute, meta) in strip(function) {
        match meta {
            Meta::List(list) => written.push((attribute, list.tokens)),
            Meta::Path(_) => written.push((attribute, TokenStream::new())),
            Meta::NameValue(meta) => errors.push(syn::Error::new_spanned(
                meta,
                "expected arguments in parentheses, as in `#[throttle(quota = 3, duration = 5)]`",
            )),
        }
    }
    let mut layers = Vec::with_capacity(written.len());
    let mut throttles = 0;
    for (attribute, arguments) in written {
        layers.extend(errors.keep(attribute.layer(arguments, function, throttles)));
        throttles += usize::from(attribute.counts());
    }
    errors.or(layers)
}

/// Takes premier's attributes off the item. Their macros are then never called, and an import of
/// one would be reported as unused: so each is called on nothing.
pub(crate) fn strip(function: &mut Function) -> Vec<(Attribute, Meta)> {
    let mut found = Vec::new();
    for other in std::mem::take(&mut function.attributes) {
        match recognise(&other.meta) {
            Some(attribute) => {
                let path = other.meta.path();
                function.mark_used(quote!(#[#path(__premier_used)] const _: () = ();));
                found.push((attribute, other.meta));
            }
            None => function.attributes.push(other),
        }
    }
    found
}

fn recognise(meta: &Meta) -> Option<Attribute> {
    let path = meta.path();
    let attribute = Attribute::named(&path.segments.last()?.ident.to_string())?;
    match path.segments.len() {
        1 => Some(attribute),
        2 => {
            let first = path.segments.first()?.ident.to_string();
            (first == "premier" || first == crate_path::name()).then_some(attribute)
        }
        _ => None,
    }
}
