//! Limits that state a cost of their own, as in `limits("60/min", ("1000/min", cost = tokens))`.
//!
//! Such a limit is equivalent to another `#[throttle]` with this limit and this cost right below the attribute:
//! adjacent throttles decide together.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Error, Expr, ExprTuple, Path, Result};

use super::arguments::{Argument, ArgumentList, Value};
use super::invocation::Invocation;

/// The arguments that a limit may have of its own.
const OWN: [&str; 3] = ["cost", "settle", "max_debt"];

/// Returns an attribute for the limits that state no cost, and one for each of the others.
pub(crate) fn split_limits(invocation: &Invocation) -> Result<Vec<Invocation>> {
    let Ok(ArgumentList(arguments)) = syn::parse2(invocation.arguments.clone()) else {
        // The attribute reports arguments that cannot be parsed.
        return Ok(vec![invocation.clone()]);
    };
    let limits = arguments.iter().find_map(|argument| match &argument.value {
        Value::List(limits) if argument.name == "limits" => Some((&argument.name, limits)),
        _ => None,
    });
    let Some((name, limits)) = limits else {
        return Ok(vec![invocation.clone()]);
    };
    let (own, common): (Vec<_>, Vec<_>) = limits
        .iter()
        .partition(|limit| matches!(limit, Expr::Tuple(tuple) if tuple.elems.len() > 1));
    if own.is_empty() {
        return Ok(vec![invocation.clone()]);
    }
    let own: Vec<OwnLimit> = own
        .into_iter()
        .filter_map(|limit| match limit {
            Expr::Tuple(tuple) => Some(OwnLimit::of(tuple)),
            _ => None,
        })
        .collect::<Result<_>>()?;
    let mut parts = Vec::with_capacity(own.len() + 1);
    let is_settled =
        |arguments: &[(Ident, Expr)]| arguments.iter().any(|(name, _)| name == "settle");
    let own_are_settled = own.iter().any(|limit| is_settled(&limit.arguments));
    let settles = arguments.iter().any(|argument| argument.name == "settle");
    if common.is_empty() {
        let unused = arguments
            .iter()
            .find(|argument| argument.name == "cost" || argument.name == "settle");
        if let Some(Argument { name, .. }) = unused {
            let message =
                format!("`{name}` is for limits without arguments of their own, and there is none");
            return Err(Error::new(name.span(), message));
        }
    } else {
        // These two are for limits that are settled.
        let is_for_others = |argument: &&Argument| {
            let is_settling = argument.name == "max_debt" || argument.name == "on_drop";
            is_settling && !settles && own_are_settled
        };
        let rest = arguments.iter().filter(|argument| !is_for_others(argument));
        let common: Vec<Expr> = common.into_iter().cloned().collect();
        parts.push(with(invocation, name, common, rest, &[]));
    }
    for limit in own {
        let is_settled = is_settled(&limit.arguments);
        let rest = arguments.iter().filter(|argument| {
            let name = argument.name.to_string();
            let is_given = limit.arguments.iter().any(|(own, _)| *own == name);
            match name.as_str() {
                "cost" | "settle" => false,
                "max_debt" | "on_drop" => is_settled && !is_given,
                _ => true,
            }
        });
        parts.push(with(
            invocation,
            name,
            vec![limit.rate],
            rest,
            &limit.arguments,
        ));
    }
    Ok(parts)
}

/// A limit with arguments of its own.
struct OwnLimit {
    rate: Expr,
    arguments: Vec<(Ident, Expr)>,
}

impl OwnLimit {
    fn of(tuple: &ExprTuple) -> Result<Self> {
        let mut elements = tuple.elems.iter();
        let rate = elements.next().cloned();
        let argument = |element: &Expr| {
            if let Expr::Assign(assign) = element
                && let Expr::Path(path) = &*assign.left
                && let Some(name) = own_name(&path.path)
            {
                return Ok((name, (*assign.right).clone()));
            }
            Err(Error::new_spanned(
                element,
                "expected `cost = …`, `settle = …` or `max_debt = …`, as in `(\"1000/min\", cost = tokens)`",
            ))
        };
        Ok(Self {
            rate: rate.ok_or_else(|| Error::new_spanned(tuple, "expected a rate"))?,
            arguments: elements.map(argument).collect::<Result<_>>()?,
        })
    }
}

fn own_name(path: &Path) -> Option<Ident> {
    path.get_ident()
        .filter(|name| OWN.iter().any(|own| *name == own))
        .cloned()
}

/// Returns an attribute with these limits, the other ones of `rest`, and further arguments.
fn with<'a>(
    invocation: &Invocation,
    name: &Ident,
    limits: Vec<Expr>,
    rest: impl Iterator<Item = &'a Argument>,
    more: &[(Ident, Expr)],
) -> Invocation {
    let limits = Argument {
        name: name.clone(),
        value: Value::List(limits),
    };
    let rest = rest
        .filter(|argument| argument.name != *name)
        .map(ToTokens::to_token_stream);
    let more = more.iter().map(|(name, expr)| quote::quote!(#name = #expr));
    let arguments = rest.chain(more);
    Invocation {
        arguments: quote::quote!(#limits, #(#arguments),*),
        span: invocation.span,
    }
}
