//! Statements that bind the arguments of the function.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::visit_mut::{self, VisitMut};
use syn::{Pat, PatIdent, Token};

use crate::parse::async_trait::boxed_block;
use crate::parse::function::Function;
use crate::parse::parameter::{Parameter, PassMode};

/// Returns the user's body with the arguments bound to the user's patterns. The body stays a block, so
/// that lints about the start and the end of a block see what the user wrote. `is_enclosed` says whether
/// the body is within a closure or a block of a layer.
pub(super) fn named_body(function: &Function, is_enclosed: bool) -> TokenStream {
    let (arguments, statements) = (
        bind_arguments(function, is_enclosed),
        function.body.stream(),
    );
    let mut body = Group::new(Delimiter::Brace, statements);
    // The compiler would report the braces around a single expression, if they were the user's.
    body.set_span(if has_statements(&function.body) {
        function.body.span()
    } else {
        Span::mixed_site()
    });
    if arguments.is_empty() {
        return body.into_token_stream();
    }
    // In the edition of this span, temporaries of the last expression are dropped before the variables
    // that are declared here, as those of a body are before its arguments in every edition.
    let mut block = Group::new(Delimiter::Brace, quote!(#arguments #body));
    block.set_span(Span::mixed_site());
    block.into_token_stream()
}

fn has_statements(body: &Group) -> bool {
    body.stream()
        .into_iter()
        .any(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';'))
}

/// Returns the statements of the user's future, of a function whose shape is
/// [`BoxedBlock`](crate::parse::shape::Shape::BoxedBlock).
pub(super) fn named_boxed_block(function: &Function) -> TokenStream {
    // `#[async_trait]` binds all arguments at the start of the block.
    let arguments = bind_arguments(function, false);
    let block = boxed_block(&function.body).unwrap_or_default();
    quote!(#arguments #block)
}

/// Returns statements that bind the arguments to the user's patterns. If one has to be bound or the body is
/// enclosed, all arguments by value are bound, from left to right. The rest of an argument that a pattern
/// leaves is then dropped after the pattern's variables and before the argument to its left, as in a function.
fn bind_arguments(function: &Function, is_enclosed: bool) -> TokenStream {
    let binds_all = is_enclosed
        || function
            .parameters
            .iter()
            .any(|parameter| parameter.pattern.is_some() || parameter.mutability.is_some());
    function
        .parameters
        .iter()
        .map(|parameter| bind_argument(parameter, binds_all))
        .collect()
}

fn bind_argument(parameter: &Parameter, binds_all: bool) -> TokenStream {
    let Parameter {
        cfg_attrs,
        name,
        lint_attrs,
        mutability,
        ..
    } = parameter;
    let moves = binds_all && parameter.ty.is_some() && parameter.pass_mode == PassMode::Value;
    let span = Span::mixed_site();
    match &parameter.pattern {
        Some(pattern) => {
            let whole = moves.then(|| quote_spanned!(span=> #(#cfg_attrs)* let #name = #name;));
            quote!(#whole #(#cfg_attrs)* #(#lint_attrs)* let #pattern = #name;)
        }
        // Without `allow(unused_variables)`, so that the compiler reports arguments that the body does not use.
        None if moves || mutability.is_some() || !lint_attrs.is_empty() => quote_spanned! {span=>
            #(#cfg_attrs)*
            #[allow(clippy::no_effect_underscore_binding, clippy::used_underscore_binding)]
            #(#lint_attrs)*
            let #mutability #name = #name;
        },
        None => TokenStream::new(),
    }
}

/// Returns statements that mention all arguments that are passed by value, so that the closure or the async
/// block that they begin captures these in this order, each as a whole. It drops them in this order if it
/// does not get to the body, which takes them out, and `self` in any case.
pub(super) fn capture<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> TokenStream {
    let span = Span::mixed_site();
    parameters
        .filter(|parameter| parameter.pass_mode == PassMode::Value)
        .map(|parameter| {
            let (cfg_attrs, name) = (&parameter.cfg_attrs, &parameter.name);
            quote_spanned! {span=>
                #(#cfg_attrs)*
                #[allow(clippy::used_underscore_binding)]
                let _ = &#name;
            }
        })
        .collect()
}

/// Binds the names in the user's patterns to references, for expressions that are evaluated before
/// the body.
pub(crate) fn borrow_patterns(function: &Function) -> TokenStream {
    function
        .parameters
        .iter()
        .filter_map(|parameter| {
            let (cfg_attrs, name) = (&parameter.cfg_attrs, &parameter.name);
            let pattern = parameter
                .pattern
                .as_ref()
                .or(parameter.inner_pattern.as_ref())?;
            let (pattern, reference) = by_reference(pattern.clone());
            Some(quote! {
                #(#cfg_attrs)*
                #[allow(
                    unused_variables,
                    clippy::needless_borrowed_reference,
                    clippy::toplevel_ref_arg
                )]
                let #pattern = #reference #name;
            })
        })
        .collect()
}

/// Changes a pattern so that it binds references, and returns the operator to put before the value
/// that is matched.
///
/// With a reference as the value, default binding modes make all bindings references. A pattern
/// that contains `&` does not allow this, so its bindings get an explicit `ref` instead.
fn by_reference(mut pattern: Pat) -> (Pat, Option<Token![&]>) {
    let mut find = FindReference(false);
    find.visit_pat_mut(&mut pattern);
    let has_reference = find.0;
    SetBindingMode {
        explicit: has_reference,
    }
    .visit_pat_mut(&mut pattern);
    (pattern, (!has_reference).then(Default::default))
}

struct FindReference(bool);

impl VisitMut for FindReference {
    fn visit_pat_reference_mut(&mut self, _: &mut syn::PatReference) {
        self.0 = true;
    }
}

struct SetBindingMode {
    explicit: bool,
}

impl VisitMut for SetBindingMode {
    fn visit_pat_ident_mut(&mut self, pattern: &mut PatIdent) {
        pattern.by_ref = self.explicit.then(Default::default);
        pattern.mutability = None;
        visit_mut::visit_pat_ident_mut(self, pattern);
    }
}
