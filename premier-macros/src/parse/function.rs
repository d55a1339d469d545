//! The function that an attribute is on.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Error, GenericParam, Result, ReturnType, Signature, Token, Type, Visibility};

use super::async_trait::find_inner_patterns;
use super::body::{braces, split_inner_attributes};
use super::parameter::{Parameter, PassMode, name_parameters};
use super::shape::{Shape, is_static_future, shape_and_output};
use super::types::{last_segment, type_arguments};
use super::words::contains_word;

/// A function or method. The body stays unparsed, so that editors can complete inside it while it
/// does not parse.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    /// `default`, of a method that can be specialised.
    pub(crate) default: Option<Ident>,
    /// The signature with a name for every parameter.
    pub(crate) signature: Signature,
    /// The `#![…]` attributes at the start of the body.
    pub(crate) inner_attributes: TokenStream,
    /// The body without its attributes.
    pub(crate) body: Group,
    /// All parameters, the receiver included.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) receiver: Option<PassMode>,
    pub(crate) shape: Shape,
    /// What the function yields when it has run: its return type, or the output of its future.
    pub(crate) output: Type,
    /// Whether the output is a `Result`, if an attribute states it by the argument `result`.
    pub(crate) declared_result: Option<bool>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let not_a_function = Error::new(
            input.span(),
            "premier's attributes are for functions and methods, not for other items",
        );
        let visibility: Visibility = input.parse()?;
        let default = match input.fork().parse::<Ident>() {
            Ok(word) if word == "default" => Some(input.parse()?),
            _ => None,
        };
        let mut signature: Signature = input.parse().map_err(|_| not_a_function)?;
        if input.peek(Token![;]) {
            return Err(Error::new(
                signature.ident.span(),
                "premier's attributes need a body: put them on the method of the impl",
            ));
        }
        let body = braces(input.parse()?)?;
        let (inner_attributes, body) = split_inner_attributes(&body);
        let mut parameters = name_parameters(&mut signature);
        let receiver = signature.receiver().map(PassMode::of_receiver);
        let (shape, output) = shape_and_output(&signature, &body);
        if shape == Shape::BoxedBlock {
            find_inner_patterns(&body, &mut parameters);
        }
        Ok(Self {
            attributes,
            visibility,
            default,
            signature,
            inner_attributes,
            body,
            parameters,
            receiver,
            shape,
            output,
            declared_result: None,
        })
    }
}

impl Function {
    /// Returns whether the output is a `Result`, as far as tokens tell: by the argument `result`, or
    /// else by a name that ends in `Result`.
    pub(crate) fn yields_result(&self) -> bool {
        self.declared_result.unwrap_or_else(|| {
            last_segment(&self.output)
                .is_some_and(|last| last.ident.to_string().ends_with("Result"))
        })
    }

    /// Returns whether the output is `()`.
    pub(crate) fn yields_unit(&self) -> bool {
        self.output.to_token_stream().is_empty()
            || self.output.to_token_stream().to_string() == "()"
    }

    /// Returns whether the function has type or const parameters of its own, those of `impl Trait`
    /// arguments included.
    pub(crate) fn has_own_generics(&self) -> bool {
        let Signature {
            generics, inputs, ..
        } = &self.signature;
        generics
            .params
            .iter()
            .any(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
            || contains_word(inputs.to_token_stream(), "impl")
    }

    /// Returns whether the signature or `more` shows that there is a `Self`. The body does not show it, because it
    /// may contain items.
    pub(crate) fn has_self_type(&self, more: TokenStream) -> bool {
        self.receiver.is_some()
            || contains_word(self.signature.to_token_stream(), "Self")
            || contains_word(more, "Self")
    }

    /// Returns whether the body runs in a future.
    pub(crate) fn is_async(&self) -> bool {
        self.shape != Shape::Sync
    }

    /// Returns whether the function returns a future whose type says that it borrows nothing.
    pub(crate) fn returns_static_future(&self) -> bool {
        match (&self.signature.output, self.shape) {
            (ReturnType::Type(_, returned), Shape::Future | Shape::BoxedFuture) => {
                is_static_future(returned)
            }
            _ => false,
        }
    }

    /// The span of the error type of the output, or of the whole output if it names none.
    pub(crate) fn error_span(&self) -> Span {
        let error = last_segment(&self.output).and_then(|last| type_arguments(last).nth(1));
        error.unwrap_or(&self.output).span()
    }
}
