//! premier's attributes on one function, top-down.

use proc_macro2::TokenStream;
use syn::{Meta, Result};

use crate::arguments::Errors;
use crate::crate_path;
use crate::function::Function;
use crate::throttle::Throttle;

/// Which attribute.
#[derive(Clone, Copy)]
pub(crate) enum Attribute {
    Throttle,
}

/// An attribute with its arguments, validated.
pub(crate) enum Layer {
    Throttle(Throttle),
}

impl Attribute {
    fn named(name: &str) -> Option<Self> {
        match name {
            "throttle" => Some(Self::Throttle),
            _ => None,
        }
    }

    fn layer(self, arguments: TokenStream, function: &Function, nth: usize) -> Result<Layer> {
        match self {
            Self::Throttle => Throttle::parse(arguments, function, nth).map(Layer::Throttle),
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
    for other in std::mem::take(&mut function.attributes) {
        match recognise(&other.meta) {
            Some(attribute) => match &other.meta {
                Meta::List(list) => written.push((attribute, list.tokens.clone())),
                Meta::Path(_) => written.push((attribute, TokenStream::new())),
                Meta::NameValue(meta) => errors.push(syn::Error::new_spanned(
                    meta,
                    "expected arguments in parentheses, as in `#[throttle(quota = 3, duration = 5)]`",
                )),
            },
            None => function.attributes.push(other),
        }
    }
    let mut layers = Vec::with_capacity(written.len());
    for (nth, (attribute, arguments)) in written.into_iter().enumerate() {
        layers.extend(errors.keep(attribute.layer(arguments, function, nth)));
    }
    errors.or(layers)
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
