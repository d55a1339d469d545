//! Blocks of their own for what a layer encloses: a `return` inside leaves the block only.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::Expansion;
use crate::crate_path;
use crate::function::{Passing, Shape};

impl Expansion<'_> {
    /// `inner` as an expression that yields the output of the function, for the layer at this
    /// place.
    pub(crate) fn scope(&self, inner: &TokenStream, nth: usize) -> TokenStream {
        self.scope_of(inner, self.nameable_output(), nth)
    }

    pub(super) fn scope_of(
        &self,
        inner: &TokenStream,
        output: Option<&Type>,
        nth: usize,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let block = self.block_of(inner, output, nth);
        if self.function.is_async() {
            return quote_spanned!(span=> (#block).await);
        }
        let krate = self.layers[nth].krate();
        quote_spanned!(span=> #krate::__private::once(#block))
    }

    /// The same as a closure, or as a future.
    pub(crate) fn block(&self, inner: &TokenStream, nth: usize) -> TokenStream {
        self.block_of(inner, self.nameable_output(), nth)
    }

    fn block_of(&self, inner: &TokenStream, output: Option<&Type>, nth: usize) -> TokenStream {
        let span = Span::mixed_site();
        // What is run again must leave `self` where it is. All else is moved in: a reference held
        // across an await asks more of a type than the type itself.
        let keeps_self = self.repeats(nth) && self.keeps_self();
        let (moved, arguments) = if keeps_self {
            (TokenStream::new(), self.moved_arguments())
        } else {
            (quote_spanned!(span=> move), TokenStream::new())
        };
        if !self.function.is_async() {
            let ascription = output.map(|output| quote_spanned!(span=> -> #output));
            return quote_spanned!(span=> #moved || #ascription { #arguments #inner });
        }
        let inner = match output {
            Some(output) if !is_unit(output) => typed(inner, output),
            _ => inner.clone(),
        };
        quote_spanned!(span=> async #moved { #arguments #inner })
    }

    /// Whether `self` is something that a block run again cannot be given for good.
    fn keeps_self(&self) -> bool {
        !matches!(self.function.receiver, None | Some(Passing::Shared)) && !self.moves_self()
    }

    /// Whether `self` is given another name for each attempt. `#[async_trait]` does so already,
    /// and moves it; a receiver by value is cloned.
    pub(super) fn moves_self(&self) -> bool {
        match self.function.receiver {
            Some(Passing::Value) => true,
            Some(Passing::Exclusive) => self.function.shape == Shape::BoxedBlock,
            _ => false,
        }
    }

    fn moved_arguments(&self) -> TokenStream {
        let span = Span::mixed_site();
        self.function
            .parameters
            .iter()
            .filter(|parameter| parameter.kind.is_some())
            .map(|parameter| {
                let (conditions, name) = (&parameter.conditions, &parameter.name);
                quote_spanned! {span=>
                    #(#conditions)*
                    #[allow(unused_variables, clippy::used_underscore_binding)]
                    let #name = #name;
                }
            })
            .collect()
    }

    /// `inner` as one attempt of several: arguments by value are cloned for it, `&mut` ones are
    /// borrowed again. The statements come before the scope of the attempt.
    pub(crate) fn attempt(&self, inner: &TokenStream, nth: usize) -> TokenStream {
        let krate = self.layers[nth].krate();
        let receiver = Ident::new("__premier_self", Span::mixed_site());
        let moves_self = self.moves_self();
        let renewed: TokenStream = self
            .function
            .parameters
            .iter()
            .map(|parameter| {
                let span = parameter
                    .kind
                    .as_ref()
                    .map_or(Span::mixed_site(), Spanned::span)
                    .resolved_at(Span::mixed_site());
                let (conditions, name) = (&parameter.conditions, &parameter.name);
                let target = match &parameter.kind {
                    Some(_) => quote!(#name),
                    // The receiver may have been `mut`.
                    None if moves_self => quote!(mut #receiver),
                    None => return TokenStream::new(),
                };
                let value = match parameter.passing {
                    Passing::Shared => return TokenStream::new(),
                    Passing::Exclusive => quote_spanned!(span=> &mut *#name),
                    Passing::Value => {
                        let krate = crate_path::at(krate, span);
                        quote_spanned!(span=> #krate::__private::for_attempt(&#name))
                    }
                };
                quote_spanned! {span=>
                    #(#conditions)*
                    #[allow(unused_mut, unused_variables, clippy::used_underscore_binding)]
                    let #target = #value;
                }
            })
            .collect();
        let inner = if moves_self {
            rename_self(inner.clone(), &receiver)
        } else {
            inner.clone()
        };
        let scope = self.scope(&inner, nth);
        let span = Span::mixed_site();
        quote_spanned!(span=> { #renewed #scope })
    }
}

/// The inside of an async block whose type is told: its `return`s and its end are then coerced as
/// those of a function are.
fn typed(inner: &TokenStream, output: &Type) -> TokenStream {
    let span = Span::mixed_site();
    quote_spanned! {span=>
        if let ::core::option::Option::Some(__premier_never) = ::core::option::Option::None::<#output> {
            return __premier_never;
        }
        let __premier_output: #output = { #inner };
        #[allow(unreachable_code)]
        __premier_output
    }
}

fn is_unit(output: &Type) -> bool {
    matches!(output, Type::Tuple(tuple) if tuple.elems.is_empty())
        || quote!(#output).to_string() == "()"
}

/// Puts another name for the value `self`; paths, and items that have a `self` of their own, stay.
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
                        TokenTree::Group(group) => {
                            group.delimiter() == proc_macro2::Delimiter::Brace
                        }
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
