//! Collecting premier's attributes on one function, top-down.
//!
//! The compiler expands the topmost attribute first. If each attribute wrapped the function by
//! itself, the topmost would end up innermost. So the first one takes the others off the item and
//! expands all of them.

use std::iter;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Meta, Result};

use super::expansion::Layer;
use crate::parse::arguments::result_argument;
use crate::parse::errors::Errors;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::manifest;

/// The name of the attribute that handles the errors of those below it.
pub(crate) const FALLBACK: &str = "fallback";

/// An attribute macro of premier.
pub(crate) struct AttributeMacro {
    pub(crate) name: &'static str,
    /// Whether the caller may get a `premier::Error` from it, without `on_reject`.
    pub(super) can_reject: bool,
    parse: Parse,
}

/// Parses and validates the arguments of an attribute.
type ParseOne = fn(Invocation, &Function) -> Result<Box<dyn Layer>>;

/// Parses adjacent attributes of one name, which become one layer. The last argument is the attributes of that
/// name above them on the function.
type ParseAdjacent = fn(Vec<Invocation>, &Function, &[Invocation]) -> Result<Box<dyn Layer>>;

#[derive(Clone, Copy)]
enum Parse {
    One(ParseOne),
    Adjacent(ParseAdjacent),
}

impl AttributeMacro {
    /// An attribute that rejects no call.
    pub(crate) const fn new(name: &'static str, parse: ParseOne) -> Self {
        Self {
            name,
            can_reject: false,
            parse: Parse::One(parse),
        }
    }

    /// An attribute that may reject calls.
    pub(crate) const fn rejecting(name: &'static str, parse: ParseOne) -> Self {
        Self {
            can_reject: true,
            ..Self::new(name, parse)
        }
    }

    /// An attribute that may reject calls, and decides together with adjacent ones of its name.
    pub(crate) const fn deciding_together(name: &'static str, parse: ParseAdjacent) -> Self {
        Self {
            name,
            can_reject: true,
            parse: Parse::Adjacent(parse),
        }
    }
}

/// An attribute that was taken off the item.
pub(super) struct Stripped {
    pub(super) attribute: &'static AttributeMacro,
    pub(super) meta: Meta,
}

impl Stripped {
    /// An attribute without arguments in parentheses has none.
    pub(super) fn invocation(&self) -> Invocation {
        Invocation {
            arguments: match &self.meta {
                Meta::List(list) => list.tokens.clone(),
                Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
            },
            span: self.meta.path().span(),
        }
    }
}

/// Returns whether these are the arguments that [`use_marks`] gives to an attribute.
pub(super) fn is_use_mark(arguments: &TokenStream) -> bool {
    arguments.to_string() == "__premier_used"
}

/// Takes all of premier's attributes off the item.
///
/// An attribute is recognised as `throttle`, as `premier::throttle`, and with the name that the
/// manifest gives to premier. An attribute imported under another name stays on the item, expands
/// later and ends up outermost.
pub(super) fn strip(
    function: &mut Function,
    attributes: &'static [AttributeMacro],
) -> Vec<Stripped> {
    let mut stripped = Vec::new();
    for other in std::mem::take(&mut function.attributes) {
        match recognise(&other.meta, attributes) {
            Some(attribute) => stripped.push(Stripped {
                attribute,
                meta: other.meta,
            }),
            None => function.attributes.push(other),
        }
    }
    stripped
}

/// Returns items that use the imports of attributes that were taken off the item. The compiler
/// never calls these macros, and would report their imports as unused.
pub(super) fn use_marks(stripped: &[Stripped]) -> TokenStream {
    stripped
        .iter()
        .map(|Stripped { meta, .. }| {
            let path = meta.path();
            quote!(#[#path(__premier_used)] const _: () = ();)
        })
        .collect()
}

/// Returns whether the output is a `Result`, if an attribute states it by its argument `result`. `arguments` are those of
/// the attribute that is being expanded.
pub(super) fn declared_result(
    arguments: &TokenStream,
    stripped: &[Stripped],
) -> Result<Option<bool>> {
    let below = stripped.iter().map(Stripped::invocation);
    let mut declared = None;
    for invocation in iter::once(expanded(arguments)).chain(below) {
        if let Some((name, flag)) = result_argument(&invocation)? {
            if declared == Some(!flag) {
                return Err(Error::new(
                    name.span(),
                    "another attribute of the function says the opposite",
                ));
            }
            declared = Some(flag);
        }
    }
    Ok(declared)
}

/// Returns the layers of the attribute that is being expanded, which is the outermost, and of
/// those below it.
pub(super) fn layers(
    first: &'static AttributeMacro,
    arguments: TokenStream,
    stripped: Vec<Stripped>,
    function: &Function,
) -> Result<Vec<Box<dyn Layer>>> {
    let mut calls = vec![(first, expanded(&arguments))];
    let mut errors = Errors::default();
    for below in stripped {
        match &below.meta {
            Meta::List(_) | Meta::Path(_) => calls.push((below.attribute, below.invocation())),
            Meta::NameValue(meta) => errors.push(Error::new_spanned(
                meta,
                "expected arguments in parentheses, as in `#[throttle(quota = 3, duration = 5)]`",
            )),
        }
    }
    let mut layers = Vec::with_capacity(calls.len());
    let mut above: Vec<(&str, Invocation)> = Vec::with_capacity(calls.len());
    let mut calls = calls.into_iter().peekable();
    while let Some((attribute, invocation)) = calls.next() {
        let parsed = match attribute.parse {
            Parse::One(parse) => parse(invocation, function),
            Parse::Adjacent(parse) => {
                let mut together = vec![invocation];
                while let Some((_, next)) = calls.next_if(|(next, _)| next.name == attribute.name) {
                    together.push(next);
                }
                let of_that_name: Vec<Invocation> = above
                    .iter()
                    .filter(|(name, _)| *name == attribute.name)
                    .map(|(_, invocation)| invocation.clone())
                    .collect();
                above.extend(together.iter().map(|one| (attribute.name, one.clone())));
                parse(together, function, &of_that_name)
            }
        };
        layers.extend(errors.keep(parsed));
    }
    errors.finish(layers)
}

/// The attribute that is being expanded.
fn expanded(arguments: &TokenStream) -> Invocation {
    Invocation {
        arguments: arguments.clone(),
        span: Span::call_site(),
    }
}

fn recognise(
    meta: &Meta,
    attributes: &'static [AttributeMacro],
) -> Option<&'static AttributeMacro> {
    let path = meta.path();
    let name = &path.segments.last()?.ident;
    let attribute = attributes.iter().find(|attribute| name == attribute.name)?;
    match path.segments.len() {
        1 => Some(attribute),
        2 => {
            let first = &path.segments.first()?.ident;
            (first == "premier" || first == &manifest::dependency_name()).then_some(attribute)
        }
        _ => None,
    }
}
