//! The output of a function: what it returns, or what the future yields that it returns.

use syn::visit_mut::{self, VisitMut};
use syn::{
    GenericArgument, PathArguments, PathSegment, ReturnType, Signature, Token, Type, TypeParamBound,
};

use crate::function::Shape;

/// What a returned future yields.
pub(crate) fn future_output(returned: &Type) -> Option<(Shape, Type)> {
    match peel(returned) {
        Type::ImplTrait(opaque) => {
            output_of_bounds(opaque.bounds.iter()).map(|output| (Shape::Future, output))
        }
        other => {
            let last = last_segment(other)?;
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
    }
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

/// Puts another output into a signature, inside its future where it returns one.
pub(crate) fn replace_output(signature: &mut Signature, shape: Shape, output: &Type) {
    let span = signature.ident.span();
    if matches!(shape, Shape::Sync | Shape::Async) {
        let arrow = match &signature.output {
            ReturnType::Type(arrow, _) => *arrow,
            ReturnType::Default => Token![->](span),
        };
        signature.output = ReturnType::Type(arrow, Box::new(output.clone()));
        return;
    }
    struct Replace<'a>(&'a Type, bool);
    impl VisitMut for Replace<'_> {
        fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
            if self.1 {
                return;
            }
            let PathArguments::AngleBracketed(arguments) = &mut segment.arguments else {
                return;
            };
            for argument in &mut arguments.args {
                match argument {
                    GenericArgument::AssocType(assoc) if assoc.ident == "Output" => {
                        assoc.ty = self.0.clone();
                        self.1 = true;
                        return;
                    }
                    _ => {}
                }
            }
            if segment.ident == "BoxFuture"
                && let Some(GenericArgument::Type(last)) = arguments.args.last_mut()
            {
                *last = self.0.clone();
                self.1 = true;
                return;
            }
            visit_mut::visit_path_segment_mut(self, segment);
        }
    }
    Replace(output, false).visit_return_type_mut(&mut signature.output);
}

/// The types between the angle brackets.
pub(crate) fn type_arguments(segment: &PathSegment) -> impl DoubleEndedIterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(argument) => Some(argument),
            _ => None,
        })
}

/// The last segment of a type that is a path.
pub(crate) fn last_segment(of: &Type) -> Option<&PathSegment> {
    match peel(of) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn peel(of: &Type) -> &Type {
    match of {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        other => other,
    }
}

/// Whether a type can be written where only nameable types may stand.
pub(crate) fn is_nameable(of: &Type) -> bool {
    struct Opaque(bool);
    impl VisitMut for Opaque {
        fn visit_type_impl_trait_mut(&mut self, _: &mut syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut opaque = Opaque(false);
    opaque.visit_type_mut(&mut of.clone());
    !opaque.0
}
