//! One attribute on a function.

use proc_macro2::{Span, TokenStream};

/// An attribute on a function, as the user wrote it.
#[derive(Clone)]
pub(crate) struct Invocation {
    pub(crate) arguments: TokenStream,
    /// Where the attribute stands.
    pub(crate) span: Span,
}
