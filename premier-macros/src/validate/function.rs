//! The functions that attributes can be on.

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Error, Result, Signature, Type};

use crate::parse::errors::Errors;
use crate::parse::function::Function;
use crate::parse::parameter::{Parameter, PassMode};
use crate::parse::types::{is_borrowed, is_nameable};

const WORKER: &str = "a sync function with #[timeout] runs on a worker thread, so its arguments must be `Send + 'static`";

/// Checks that the function is of a kind that all attributes support.
pub(crate) fn check_function_kind(function: &Function) -> Result<()> {
    let Signature {
        constness,
        abi,
        variadic,
        ..
    } = &function.signature;
    let unsupported = |tokens: &dyn ToTokens, what: &str| {
        Err(Error::new_spanned(
            tokens.to_token_stream(),
            format!("premier's attributes cannot be used on {what} functions"),
        ))
    };
    if let Some(constness) = constness {
        return unsupported(constness, "const");
    }
    if let Some(variadic) = variadic {
        return unsupported(variadic, "variadic");
    }
    if let Some(abi) = abi {
        return unsupported(abi, "extern");
    }
    if let Type::Never(never) = &function.output {
        return Err(Error::new_spanned(
            never,
            "premier's attributes cannot be used on functions that never return",
        ));
    }
    Ok(())
}

/// Checks that a returned future may hold the arguments: the body runs in it, once the call is admitted.
pub(crate) fn check_future_may_borrow(function: &Function) -> Result<()> {
    if !function.returns_static_future() {
        return Ok(());
    }
    let Some(parameter) = borrowed_parameters(function).next() else {
        return Ok(());
    };
    let advice = match &parameter.ty {
        None => "`self` by value or `self: Arc<Self>`",
        Some(_) => "it by value",
    };
    Err(Error::new(
        parameter.ty_span().unwrap_or_else(|| parameter.name.span()),
        format!(
            "the body runs in the returned future, which is `'static` and cannot hold this borrow: make the function an `async fn`, or take {advice}"
        ),
    ))
}

/// The parameters whose types show that they borrow.
fn borrowed_parameters(function: &Function) -> impl Iterator<Item = &Parameter> {
    let is_borrow = |parameter: &&Parameter| match &parameter.ty {
        None => parameter.pass_mode != PassMode::Value,
        Some(ty) => is_borrowed(ty),
    };
    function.parameters.iter().filter(is_borrow)
}

/// Checks that a cache can name the type of its values.
pub(crate) fn check_cacheable(output: &Type) -> Result<()> {
    if is_nameable(output) {
        return Ok(());
    }
    Err(Error::new_spanned(
        output,
        "a value of an `impl Trait` type cannot be cached: name the type",
    ))
}

/// Checks that a sync function with a timeout borrows nothing, for it runs on a worker thread.
pub(crate) fn check_owned_arguments(function: &Function) -> Result<()> {
    let mut errors = Errors::default();
    if function.is_async() {
        return Ok(());
    }
    for parameter in borrowed_parameters(function) {
        let advice = match &parameter.ty {
            None => "take `self` by value or `self: Arc<Self>`",
            Some(_) => "pass it by value or in an `Arc`",
        };
        errors.push_at(
            parameter.ty_span().unwrap_or_else(|| parameter.name.span()),
            format!("{WORKER}: {advice}, or make the function async"),
        );
    }
    errors.finish(())
}
