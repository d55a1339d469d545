//! `#[throttle]` limits the rate of calls.

mod args;
mod single;
mod together;

use std::iter;

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::Result;

use self::single::Throttle;
use self::together::{enter_all, settled};
use crate::expand::expansion::{Expansion, Layer};
use crate::parse::errors::Errors;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::limit_costs::split_limits;

/// Adjacent throttles on a function, which decide together.
struct Throttles(Vec<Throttle>);

/// Parses adjacent throttles. `above` are the other throttles above them on the function.
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
        // The index distinguishes limits without a name, and limits of one name.
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
