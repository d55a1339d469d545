//! Statements that bind the arguments of the function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::visit_mut::{self, VisitMut};
use syn::{Pat, PatIdent, Token};

use crate::parse::async_trait::boxed_block;
use crate::parse::function::Function;

/// Returns the user's body with the arguments bound to the user's patterns.
pub(super) fn named_body(function: &Function) -> TokenStream {
    let (arguments, body) = (bind_arguments(function), function.body.stream());
    quote!(#arguments #body)
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
            match (&parameter.pattern, parameter.mutability) {
                (Some(pattern), _) => {
                    Some(quote!(#(#cfg_attrs)* #(#lint_attrs)* let #pattern = #name;))
                }
                (None, Some(mutability)) => {
                    Some(quote!(#(#cfg_attrs)* #(#lint_attrs)* let #mutability #name = #name;))
                }
                (None, None) => None,
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
                #[allow(unused_variables, clippy::toplevel_ref_arg)]
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
