//! How a function runs, and what it yields when it has run.

use proc_macro2::Group;
use quote::quote_spanned;
use syn::{
    CapturedParam, GenericArgument, Lifetime, PathArguments, PathSegment, ReturnType, Signature,
    Type, TypeParamBound,
};

use super::async_trait::is_boxed_block;
use super::types::{last_segment, peel_type, type_arguments};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// `fn`
    Sync,
    /// `async fn`
    Async,
    /// The body is `Box::pin(async move { … })`, as `#[async_trait]` writes it.
    BoxedBlock,
    /// Returns `impl Future`.
    Future,
    /// Returns a boxed future that the body makes in some other way.
    BoxedFuture,
}

/// Returns the shape of a function and its output: the return type, or the output of the future
/// that the function returns.
pub(super) fn shape_and_output(signature: &Signature, body: &Group) -> (Shape, Type) {
    let own_shape = if signature.asyncness.is_some() {
        Shape::Async
    } else {
        Shape::Sync
    };
    let returned = match &signature.output {
        ReturnType::Default => {
            let span = signature.ident.span();
            return (own_shape, Type::Verbatim(quote_spanned!(span=> ())));
        }
        ReturnType::Type(_, returned) => &**returned,
    };
    if own_shape == Shape::Async {
        return (Shape::Async, returned.clone());
    }
    match returned_future(returned) {
        Some((Shape::BoxedFuture, output)) if is_boxed_block(body) => (Shape::BoxedBlock, output),
        Some(found) => found,
        None => (Shape::Sync, returned.clone()),
    }
}

/// If `returned` is a future, returns whether it is boxed, as a shape, and its output.
fn returned_future(returned: &Type) -> Option<(Shape, Type)> {
    let returned = peel_type(returned);
    if let Type::ImplTrait(opaque) = returned {
        return output_of_bounds(opaque.bounds.iter()).map(|output| (Shape::Future, output));
    }
    let last = last_segment(returned)?;
    let mut types = type_arguments(last);
    let output = match last.ident.to_string().as_str() {
        "Pin" => {
            let boxed = last_segment(types.next()?)?;
            match type_arguments(boxed).next()? {
                Type::TraitObject(object) if boxed.ident == "Box" => {
                    output_of_bounds(object.bounds.iter())?
                }
                _ => return None,
            }
        }
        "BoxFuture" => types.next_back()?.clone(),
        _ => return None,
    };
    Some((Shape::BoxedFuture, output))
}

/// Returns whether the type of a future that a function returns says that it borrows nothing.
pub(super) fn is_static_future(returned: &Type) -> bool {
    let returned = peel_type(returned);
    if let Type::ImplTrait(opaque) = returned {
        return opaque.bounds.iter().any(|bound| match bound {
            TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
            TypeParamBound::PreciseCapture(captured) => !captured
                .params
                .iter()
                .any(|parameter| matches!(parameter, CapturedParam::Lifetime(_))),
            _ => false,
        });
    }
    let Some(last) = last_segment(returned) else {
        return false;
    };
    if last.ident == "BoxFuture" {
        return first_lifetime(last).is_some_and(|lifetime| lifetime.ident == "static");
    }
    let boxed = type_arguments(last).next().and_then(last_segment);
    match boxed.and_then(|boxed| type_arguments(boxed).next()) {
        Some(Type::TraitObject(object)) => object.bounds.iter().all(|bound| match bound {
            TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
            _ => true,
        }),
        _ => false,
    }
}

fn first_lifetime(segment: &PathSegment) -> Option<&Lifetime> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Lifetime(lifetime) => Some(lifetime),
        _ => None,
    })
}

fn output_of_bounds<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>) -> Option<Type> {
    bounds
        .filter_map(|bound| match bound {
            TypeParamBound::Trait(bound) => bound.path.segments.last(),
            _ => None,
        })
        .filter(|last| last.ident == "Future")
        .find_map(|last| match &last.arguments {
            PathArguments::AngleBracketed(arguments) => {
                arguments.args.iter().find_map(|argument| match argument {
                    GenericArgument::AssocType(assoc) if assoc.ident == "Output" => {
                        Some(assoc.ty.clone())
                    }
                    _ => None,
                })
            }
            _ => None,
        })
}
