//! Closures of the user whose body is inserted, because a closure that is called where it is written
//! does not infer the types of its parameters.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, ExprClosure, ReturnType};

/// Returns the body as the inside of a block, which yields the type that the closure states.
pub(super) fn inserted_body(closure: &ExprClosure) -> TokenStream {
    let body = match &*closure.body {
        // Braces within braces would be reported as unused.
        Expr::Block(block) if block.label.is_none() && block.attrs.is_empty() => {
            let statements = &block.block.stmts;
            quote!(#(#statements)*)
        }
        body => body.to_token_stream(),
    };
    match &closure.output {
        ReturnType::Default => body,
        ReturnType::Type(_, output) => {
            let span = Span::mixed_site();
            // The body may panic in every case.
            quote_spanned! {span=>
                #[allow(clippy::diverging_sub_expression)]
                let __premier_value: #output = { #body };
                #[allow(unreachable_code)]
                __premier_value
            }
        }
    }
}
