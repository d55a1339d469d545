//! Tokens of checked values.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::validate::checked::{Checked, Nanos};

impl<T: ToTokens> ToTokens for Checked<T> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(value) => value.to_tokens(tokens),
            Self::Runtime(expr) => expr.to_tokens(tokens),
        }
    }
}

impl ToTokens for Nanos {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let nanos = self.0;
        tokens.extend(quote!(::core::time::Duration::from_nanos(#nanos)));
    }
}
