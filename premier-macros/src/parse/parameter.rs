//! The parameters of a function, each with a name to refer to it by.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Pat, PatIdent, Receiver, ReceiverKind, Signature, Token, Type};

use super::types::peel_type;

/// One parameter of a function, or its receiver.
pub(crate) struct Parameter {
    /// The `#[cfg]` attributes that decide whether the parameter exists.
    pub(crate) cfg_attrs: Vec<Attribute>,
    /// The name to refer to the argument by; `self` for a receiver.
    pub(crate) name: TokenStream,
    /// The attributes for lints. The emitted signature has none: the body binds the parameter again, with
    /// these attributes, because a layer may use the parameter where the body does not.
    pub(crate) lint_attrs: Vec<Attribute>,
    /// The `mut` of `mut name`. The emitted signature has none; the body binds the name again.
    pub(crate) mutability: Option<Token![mut]>,
    /// The pattern of the parameter if it is not a name. The emitted signature has a generated
    /// name instead.
    pub(crate) pattern: Option<Pat>,
    /// The pattern of the parameter if `#[async_trait]` has moved it into the body.
    pub(crate) inner_pattern: Option<Pat>,
    /// The type of the parameter; `None` for a receiver.
    pub(crate) ty: Option<Type>,
    pub(crate) pass_mode: PassMode,
}

impl Parameter {
    /// The span of the type, which errors about the argument point at; `None` for a receiver.
    pub(crate) fn ty_span(&self) -> Option<Span> {
        self.ty.as_ref().map(Spanned::span)
    }
}

/// How an argument is passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PassMode {
    /// `&T`
    Shared,
    /// `&mut T`
    Exclusive,
    /// `T`
    Value,
}

impl PassMode {
    fn of_type(ty: &Type) -> Self {
        match peel_type(ty) {
            Type::Reference(reference) if reference.mutability.is_some() => Self::Exclusive,
            Type::Reference(_) => Self::Shared,
            _ => Self::Value,
        }
    }

    pub(super) fn of_receiver(receiver: &Receiver) -> Self {
        match &receiver.kind {
            ReceiverKind::Reference(_, _, Some(_)) => Self::Exclusive,
            ReceiverKind::Reference(..) => Self::Shared,
            ReceiverKind::Typed(_, ty) => Self::of_type(ty),
            _ => Self::Value,
        }
    }
}

/// Replaces every pattern in the signature by a name, so that all arguments can be referred to,
/// and returns the parameters with the patterns that were replaced.
pub(super) fn name_parameters(signature: &mut Signature) -> Vec<Parameter> {
    signature
        .inputs
        .iter_mut()
        .enumerate()
        .map(|(index, input)| name_parameter(index, input))
        .collect()
}

fn name_parameter(index: usize, input: &mut FnArg) -> Parameter {
    let typed = match input {
        FnArg::Receiver(receiver) => {
            return Parameter {
                cfg_attrs: Vec::new(),
                lint_attrs: Vec::new(),
                name: receiver.self_token.to_token_stream(),
                mutability: None,
                pattern: None,
                inner_pattern: None,
                ty: None,
                pass_mode: PassMode::of_receiver(receiver),
            };
        }
        FnArg::Typed(typed) => typed,
    };
    let is_cfg = |attribute: &&Attribute| attribute.path().is_ident("cfg");
    let mut parameter = Parameter {
        cfg_attrs: typed.attrs.iter().filter(is_cfg).cloned().collect(),
        lint_attrs: take_lint_attrs(&mut typed.attrs),
        name: TokenStream::new(),
        mutability: None,
        pattern: None,
        inner_pattern: None,
        ty: Some((*typed.ty).clone()),
        pass_mode: PassMode::of_type(&typed.ty),
    };
    if let Pat::Ident(PatIdent {
        ident,
        mutability,
        by_ref: None,
        subpat: None,
        ..
    }) = &mut *typed.pat
    {
        parameter.name = ident.to_token_stream();
        parameter.mutability = mutability.take();
        return parameter;
    }
    let span = typed.pat.span().resolved_at(Span::mixed_site());
    let name = format_ident!("__premier_argument_{index}", span = span);
    let pattern = std::mem::replace(
        &mut *typed.pat,
        Pat::Ident(PatIdent {
            attrs: Vec::new(),
            by_ref: None,
            mutability: None,
            ident: name.clone(),
            subpat: None,
        }),
    );
    parameter.name = name.to_token_stream();
    parameter.pattern = Some(pattern);
    parameter
}

fn take_lint_attrs(attributes: &mut Vec<Attribute>) -> Vec<Attribute> {
    const LEVELS: [&str; 5] = ["allow", "deny", "expect", "forbid", "warn"];
    let is_lint =
        |attribute: &Attribute| LEVELS.iter().any(|level| attribute.path().is_ident(level));
    let (lints, others) = std::mem::take(attributes).into_iter().partition(is_lint);
    *attributes = others;
    lints
}
