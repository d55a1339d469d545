//! Questions about types that their tokens answer.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{
    GenericArgument, Generics, Ident, Lifetime, PathArguments, PathSegment, Type, TypeParamBound,
    WherePredicate, parse_quote,
};

/// Returns the types between the angle brackets of a path segment.
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

/// Returns the last segment of a type that is a path.
pub(crate) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match peel_type(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Removes parentheses, and the invisible groups that `macro_rules!` puts around its fragments.
pub(crate) fn peel_type(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel_type(&group.elem),
        Type::Paren(paren) => peel_type(&paren.elem),
        other => other,
    }
}

/// The type behind all references.
pub(crate) fn referent(ty: &Type) -> &Type {
    match peel_type(ty) {
        Type::Reference(reference) => referent(&reference.elem),
        other => other,
    }
}

/// Returns whether the type names a lifetime, be it `'static`, or has a reference.
pub(crate) fn names_lifetime(ty: &Type) -> bool {
    struct FindLifetime(bool);
    impl VisitMut for FindLifetime {
        fn visit_type_reference_mut(&mut self, _: &mut syn::TypeReference) {
            self.0 = true;
        }

        fn visit_lifetime_mut(&mut self, _: &mut syn::Lifetime) {
            self.0 = true;
        }
    }
    let mut find = FindLifetime(false);
    find.visit_type_mut(&mut ty.clone());
    find.0
}

/// Returns whether a lifetime other than `'static` can be seen in the type.
pub(crate) fn is_borrowed(ty: &Type) -> bool {
    let mut found = false;
    each_lifetime(&mut ty.clone(), |lifetime| {
        found |= lifetime.is_none_or(|lifetime| lifetime.ident != "static");
    });
    found
}

/// Returns whether the type names a parameter of `generics` that is not known to be `'static`.
pub(crate) fn names_borrowed_parameter(ty: &Type, generics: &Generics) -> bool {
    let is_static = |bound: &TypeParamBound| matches!(bound, TypeParamBound::Lifetime(lifetime) if lifetime.ident == "static");
    let predicates = generics
        .where_clause
        .iter()
        .flat_map(|clause| &clause.predicates);
    let is_static_by_clause = |parameter: &Ident| {
        predicates.clone().any(|predicate| match predicate {
            WherePredicate::Type(predicate) => {
                matches!(peel_type(&predicate.bounded_ty), Type::Path(path) if path.path.is_ident(parameter))
                    && predicate.bounds.iter().any(is_static)
            }
            _ => false,
        })
    };
    let tokens = ty.to_token_stream();
    generics.type_params().any(|parameter| {
        !parameter.bounds.iter().any(is_static)
            && !is_static_by_clause(&parameter.ident)
            && contains_ident(tokens.clone(), &parameter.ident)
    })
}

fn contains_ident(tokens: TokenStream, ident: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(other) => other == *ident,
        TokenTree::Group(group) => contains_ident(group.stream(), ident),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Returns `false` if the type contains `impl Trait`, which cannot be written in a body.
pub(crate) fn is_nameable(ty: &Type) -> bool {
    !infer_opaque(&mut ty.clone())
}

/// Returns the type as a body can name it: with `_` in place of each `impl Trait`. `None` if nothing
/// else is left of the type.
pub(crate) fn in_body(ty: &Type) -> Option<Type> {
    let mut named = ty.clone();
    infer_opaque(&mut named);
    (!matches!(peel_type(&named), Type::Infer(_))).then_some(named)
}

/// Replaces the lifetimes in the type by `'_`, but for `'static` and those of called functions.
pub(crate) fn infer_lifetimes(ty: &mut Type) {
    each_lifetime(ty, |lifetime| {
        if let Some(lifetime) = lifetime.filter(|lifetime| lifetime.ident != "static") {
            lifetime.ident = Ident::new("_", lifetime.ident.span());
        }
    });
}

/// Calls `visit` with each lifetime in the type, and with `None` for each reference without one. Those in the
/// signature of a function that is called are not borrows of the type.
fn each_lifetime(ty: &mut Type, visit: impl FnMut(Option<&mut Lifetime>)) {
    struct EachLifetime<F>(F);
    impl<F: FnMut(Option<&mut Lifetime>)> VisitMut for EachLifetime<F> {
        fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
            if reference.lifetime.is_none() {
                (self.0)(None);
            }
            visit_mut::visit_type_reference_mut(self, reference);
        }

        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            (self.0)(Some(lifetime));
        }

        // The lifetimes of `for<'a> Trait<'a>` belong to what is called.
        fn visit_trait_bound_mut(&mut self, bound: &mut syn::TraitBound) {
            if bound.lifetimes.is_none() {
                visit_mut::visit_trait_bound_mut(self, bound);
            }
        }

        fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}

        fn visit_parenthesized_generic_arguments_mut(
            &mut self,
            _: &mut syn::ParenthesizedGenericArguments,
        ) {
        }
    }
    EachLifetime(visit).visit_type_mut(ty);
}

/// Replaces each `impl Trait` in the type by `_`. Returns whether there was one.
fn infer_opaque(ty: &mut Type) -> bool {
    struct InferOpaque(bool);
    impl VisitMut for InferOpaque {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::ImplTrait(_) = ty {
                *ty = Type::Infer(parse_quote!(_));
                self.0 = true;
            } else {
                visit_mut::visit_type_mut(self, ty);
            }
        }
    }
    let mut infer = InferOpaque(false);
    infer.visit_type_mut(ty);
    infer.0
}
