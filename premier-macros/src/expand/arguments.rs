//! Statements that bind the arguments of the function.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::visit_mut::{self, VisitMut};
use syn::{Pat, PatIdent, Token};

use crate::parse::async_trait::boxed_block;
use crate::parse::function::Function;

/// Returns the user's body with the arguments bound to the user's patterns. The body stays a block, so
/// that lints about the start and the end of a block see what the user wrote.
pub(super) fn named_body(function: &Function) -> TokenStream {
    let (arguments, statements) = (bind_arguments(function), function.body.stream());
    let mut body = Group::new(Delimiter::Brace, statements);
    // The compiler would report the braces around a single expression, if they were the user's.
    body.set_span(if has_statements(&function.body) {
        function.body.span()
    } else {
        Span::mixed_site()
    });
    quote!(#arguments #body)
}

fn has_statements(body: &Group) -> bool {
    body.stream()
        .into_iter()
        .any(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';'))
}

/// Returns the statements of the user's future, of a function whose shape is
/// [`BoxedBlock`](crate::parse::shape::Shape::BoxedBlock).
pub(super) fn named_boxed_block(function: &Function) -> TokenStream {
    let arguments = bind_arguments(function);
    let block = boxed_block(&function.body).unwrap_or_default();
    quote!(#arguments #block)
}

fn bind_arguments(function: &Function) -> TokenStream {
    function
        .parameters
        .iter()
        .filter_map(|parameter| {
            let (cfg_attrs, name) = (&parameter.cfg_attrs, &parameter.name);
            let lint_attrs = &parameter.lint_attrs;
            let pattern = match (&parameter.pattern, parameter.mutability) {
                (Some(pattern), _) => pattern.to_token_stream(),
                (None, None) if lint_attrs.is_empty() => return None,
                (None, mutability) => quote!(#mutability #name),
            };
            Some(quote!(#(#cfg_attrs)* #(#lint_attrs)* let #pattern = #name;))
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
