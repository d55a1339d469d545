//! One attempt of a call that a layer may repeat.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};

use super::crate_path::respan;
use super::expansion::Expansion;
use crate::parse::parameter::{Parameter, PassMode};

impl Expansion<'_> {
    /// Returns an expression that runs `inner` and leaves the arguments in place for the next
    /// attempt: arguments by value are cloned, `&mut` arguments are reborrowed.
    pub(crate) fn attempt(&self, inner: &TokenStream, index: usize) -> TokenStream {
        let crate_path = self.layers[index].crate_path();
        let receiver = Ident::new("__premier_self", Span::mixed_site());
        let renamed = self.renames_self().then_some(&receiver);
        let arguments: TokenStream = self
            .function
            .parameters
            .iter()
            .map(|parameter| argument_of_attempt(parameter, renamed, crate_path))
            .collect();
        let inner = match renamed {
            Some(receiver) => rename_self(inner.clone(), receiver),
            None => inner.clone(),
        };
        let scope = self.scope(&inner, index);
        let span = Span::mixed_site();
        quote_spanned!(span=> { #arguments #scope })
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
        .unwrap_or_else(Span::mixed_site)
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
            quote_spanned!(span=> #crate_path::__private::for_attempt(&#name))
        }
    };
    quote_spanned! {span=>
        #(#cfg_attrs)*
        #[allow(unused_mut, unused_variables, clippy::used_underscore_binding)]
        let #target = #value;
    }
}

/// Replaces the value `self` by the variable `name`. Paths such as `self::x`, visibilities, and
/// items with a `self` of their own are left alone.
fn rename_self(code: TokenStream, name: &Ident) -> TokenStream {
    let mut renamed = TokenStream::new();
    let mut tokens = code.into_iter().peekable();
    let mut visibility = false;
    while let Some(token) = tokens.next() {
        let after_pub = std::mem::take(&mut visibility);
        match token {
            TokenTree::Ident(word) if word == "self" => {
                let is_path =
                    matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
                if is_path {
                    renamed.extend([TokenTree::Ident(word)]);
                } else {
                    let mut name = name.clone();
                    name.set_span(word.span().resolved_at(Span::mixed_site()));
                    renamed.extend([TokenTree::Ident(name)]);
                }
            }
            TokenTree::Ident(word) if word == "use" || word == "impl" || word == "trait" => {
                renamed.extend([TokenTree::Ident(word)]);
                for token in tokens.by_ref() {
                    let ends = match &token {
                        TokenTree::Punct(mark) => mark.as_char() == ';',
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        _ => false,
                    };
                    renamed.extend([token]);
                    if ends {
                        break;
                    }
                }
            }
            TokenTree::Ident(word) => {
                visibility = word == "pub";
                renamed.extend([TokenTree::Ident(word)]);
            }
            TokenTree::Group(group) if !after_pub => {
                let mut inside = Group::new(group.delimiter(), rename_self(group.stream(), name));
                inside.set_span(group.span());
                renamed.extend([TokenTree::Group(inside)]);
            }
            token => renamed.extend([token]),
        }
    }
    renamed
}
