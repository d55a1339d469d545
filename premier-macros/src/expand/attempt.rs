//! One attempt of a call that a layer may repeat.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::crate_path::respan;
use super::expansion::Expansion;
use super::rename_self::rename_self;
use crate::parse::parameter::{Parameter, PassMode};

impl Expansion<'_> {
    /// Returns an expression that runs `inner` and leaves the arguments in place for the next
    /// attempt: arguments by value are cloned, `&mut` arguments are reborrowed.
    pub(crate) fn attempt(&self, inner: &TokenStream, index: usize) -> TokenStream {
        let crate_path = self.layers[index].crate_path();
        let receiver = self.attempts_self();
        let arguments: TokenStream = self
            .function
            .parameters
            .iter()
            .map(|parameter| argument_of_attempt(parameter, receiver.as_ref(), crate_path))
            .collect();
        let scope = self.scope(inner, index);
        let scope = match &receiver {
            Some(receiver) => rename_self(scope, receiver),
            None => scope,
        };
        let span = Span::mixed_site();
        quote_spanned!(span=> { #arguments #scope })
    }

    /// The variable that each attempt gets in place of `self`: a clone of a receiver by value, or a
    /// reborrow of `&mut self`. `&self` is copied.
    ///
    /// The variable resolves wherever the `self` of the user does, so format strings can name it.
    fn attempts_self(&self) -> Option<Ident> {
        let receiver = self.function.signature.receiver()?;
        self.renames_self()
            .then(|| Ident::new("__premier_self", receiver.self_token.span))
    }

    /// Returns whether each attempt gets a variable in place of `self`.
    pub(super) fn renames_self(&self) -> bool {
        matches!(
            self.function.receiver,
            Some(PassMode::Value | PassMode::Exclusive)
        )
    }
}

/// Returns the statement that makes the argument of one attempt. `receiver` is the variable that
/// replaces `self`, if one does.
fn argument_of_attempt(
    parameter: &Parameter,
    receiver: Option<&Ident>,
    crate_path: &TokenStream,
) -> TokenStream {
    let span = parameter
        .ty_span()
        .unwrap_or_else(|| parameter.name.span())
        .resolved_at(Span::mixed_site());
    let (cfg_attrs, name) = (&parameter.cfg_attrs, &parameter.name);
    let target = match (&parameter.ty, receiver) {
        (Some(_), _) => quote!(#name),
        // The user may have written `mut self`.
        (None, Some(receiver)) => quote!(mut #receiver),
        (None, None) => return TokenStream::new(),
    };
    let value = match parameter.pass_mode {
        PassMode::Shared => return TokenStream::new(),
        PassMode::Exclusive => quote_spanned!(span=> &mut *#name),
        PassMode::Value => {
            let crate_path = respan(crate_path, span);
            quote_spanned!(span=> #crate_path::bounds::ArgumentOfRetry::for_attempt(&#name))
        }
    };
    quote_spanned! {span=>
        #(#cfg_attrs)*
        #[allow(unused_mut, clippy::no_effect_underscore_binding, clippy::used_underscore_binding)]
        let #target = #value;
    }
}
