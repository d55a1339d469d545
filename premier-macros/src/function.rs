//! The function an attribute stands on, whatever its shape.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Error, FnArg, Pat, PatIdent, Result, ReturnType, Signature, Token, Type, Visibility,
};

use crate::output::{future_output, last_segment, replace_output, type_arguments};

/// A function as written. The body stays unparsed, so that editors can complete inside it.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    visibility: Visibility,
    default: Option<Ident>,
    pub(crate) signature: Signature,
    body: Group,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) shape: Shape,
    /// What the function yields when it has run: its return type, or the output of its future.
    pub(crate) output: Type,
}

/// How the function runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    Sync,
    Async,
    /// `Box::pin(async move { … })`, as `#[async_trait]` leaves it.
    BoxedBlock,
    /// Returns `impl Future`.
    Future,
    /// Returns a boxed future made in some other way.
    BoxedFuture,
}

/// One argument of the function.
pub(crate) struct Parameter {
    /// `#[cfg]`s, which decide whether it is there.
    pub(crate) conditions: Vec<Attribute>,
    /// The name to take a reference of.
    pub(crate) name: TokenStream,
    /// A pattern that gives names to parts; the argument itself has been given a name.
    pub(crate) pattern: Option<Pat>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let not_a_function = Error::new(
            input.span(),
            "premier's attributes stand on functions and methods, not on other items",
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
        let parameters = name_parameters(&mut signature);
        let (shape, output) = shape(&signature, &body);
        Ok(Self {
            attributes,
            visibility,
            default,
            signature,
            body,
            parameters,
            shape,
            output,
        })
    }
}

impl Function {
    /// What no attribute of premier's can stand on.
    pub(crate) fn validate(&self) -> Result<()> {
        let Signature {
            constness,
            abi,
            variadic,
            ..
        } = &self.signature;
        let refuse = |tokens: &dyn ToTokens, what: &str| {
            Err(Error::new_spanned(
                tokens.to_token_stream(),
                format!("premier's attributes cannot stand on {what} functions"),
            ))
        };
        if let Some(constness) = constness {
            return refuse(constness, "const");
        }
        if let Some(variadic) = variadic {
            return refuse(variadic, "variadic");
        }
        if let Some(abi) = abi {
            return refuse(abi, "extern");
        }
        Ok(())
    }

    /// Whether the last path segment of the output ends in `Result`.
    pub(crate) fn yields_result(&self) -> bool {
        last_segment(&self.output).is_some_and(|last| last.ident.to_string().ends_with("Result"))
    }

    pub(crate) fn is_async(&self) -> bool {
        self.shape != Shape::Sync
    }

    /// The user's body with its arguments as the user named them.
    pub(crate) fn named_body(&self) -> TokenStream {
        let (inner, body) = split_inner_attributes(self.body.stream());
        let patterns = self.parameters.iter().filter_map(|parameter| {
            let Parameter {
                conditions,
                name,
                pattern,
            } = parameter;
            let pattern = pattern.as_ref()?;
            Some(quote!(#(#conditions)* let #pattern = #name;))
        });
        quote!(#inner #(#patterns)* #body)
    }

    /// References to the parts of arguments that the user's patterns name, for expressions that
    /// are evaluated before the body.
    pub(crate) fn borrowed_parts(&self) -> TokenStream {
        self.parameters
            .iter()
            .filter_map(
                |Parameter {
                     conditions,
                     name,
                     pattern,
                 }| {
                    let mut pattern = pattern.clone()?;
                    ByReference.visit_pat_mut(&mut pattern);
                    Some(quote!(#(#conditions)* #[allow(unused_variables)] let #pattern = &#name;))
                },
            )
            .collect()
    }

    /// What runs in the future of a [`Shape::BoxedBlock`].
    pub(crate) fn boxed_block(&self) -> Option<TokenStream> {
        let TokenTree::Group(arguments) = self.body.stream().into_iter().last()? else {
            return None;
        };
        match arguments.stream().into_iter().last()? {
            TokenTree::Group(block) => Some(block.stream()),
            _ => None,
        }
    }

    /// The function with another body, and with another output if it is given one.
    pub(crate) fn with_body(&self, body: TokenStream, output: Option<&Type>) -> TokenStream {
        let Self {
            attributes,
            visibility,
            default,
            signature,
            ..
        } = self;
        let mut signature = signature.clone();
        if let Some(output) = output {
            replace_output(&mut signature, self.shape, output);
        }
        // Its fallible form is already marked.
        let attributes = attributes.iter().filter(|attribute| {
            output.is_none()
                || !matches!(&attribute.meta, syn::Meta::Path(path) if path.is_ident("must_use"))
        });
        let mut group = Group::new(Delimiter::Brace, body);
        group.set_span(self.body.span());
        quote!(#(#attributes)* #visibility #default #signature #group)
    }

    /// Where to point when the error type of the output does not do.
    pub(crate) fn error_span(&self) -> Span {
        let error = last_segment(&self.output).and_then(|last| type_arguments(last).nth(1));
        error.unwrap_or(&self.output).span()
    }
}

/// The body; from `macro_rules!` it may come in an invisible group.
fn braces(body: TokenTree) -> Result<Group> {
    let span = body.span();
    let TokenTree::Group(group) = body else {
        return Err(Error::new(span, "expected the body of a function"));
    };
    let mut inside = group.stream().into_iter();
    match (group.delimiter(), inside.next(), inside.next()) {
        (Delimiter::Brace, ..) => Ok(group),
        (Delimiter::None, Some(only), None) => braces(only),
        _ => Err(Error::new(span, "expected the body of a function")),
    }
}

/// Gives a name to every argument that has none, so that all can be referred to.
fn name_parameters(signature: &mut Signature) -> Vec<Parameter> {
    let is_condition = |attribute: &&Attribute| attribute.path().is_ident("cfg");
    signature
        .inputs
        .iter_mut()
        .enumerate()
        .map(|(index, input)| match input {
            FnArg::Receiver(receiver) => Parameter {
                conditions: Vec::new(),
                name: receiver.self_token.to_token_stream(),
                pattern: None,
            },
            FnArg::Typed(typed) => {
                let conditions = typed.attrs.iter().filter(is_condition).cloned().collect();
                if let Pat::Ident(PatIdent {
                    ident,
                    by_ref: None,
                    subpat: None,
                    ..
                }) = &*typed.pat
                {
                    return Parameter {
                        conditions,
                        name: ident.to_token_stream(),
                        pattern: None,
                    };
                }
                let name = format_ident!("__premier_argument_{index}", span = Span::mixed_site());
                let pattern = std::mem::replace(
                    &mut *typed.pat,
                    Pat::Ident(PatIdent {
                        attrs: Vec::new(),
                        by_ref: None,
                        mutability: None,
                        ident: name.clone(),
                        subpat: None,
                    }),
                );
                Parameter {
                    conditions,
                    name: name.to_token_stream(),
                    pattern: Some(pattern),
                }
            }
        })
        .collect()
}

/// Turns bindings by value into bindings by reference: without modes of their own they follow the
/// reference that is matched.
struct ByReference;

impl VisitMut for ByReference {
    fn visit_pat_ident_mut(&mut self, pattern: &mut PatIdent) {
        pattern.by_ref = None;
        pattern.mutability = None;
        visit_mut::visit_pat_ident_mut(self, pattern);
    }
}

fn split_inner_attributes(body: TokenStream) -> (TokenStream, TokenStream) {
    let mut inner = TokenStream::new();
    let mut rest: std::collections::VecDeque<TokenTree> = body.into_iter().collect();
    while let (
        Some(TokenTree::Punct(hash)),
        Some(TokenTree::Punct(bang)),
        Some(TokenTree::Group(_)),
    ) = (rest.front(), rest.get(1), rest.get(2))
    {
        if hash.as_char() != '#' || bang.as_char() != '!' {
            break;
        }
        inner.extend(rest.drain(..3));
    }
    (inner, rest.into_iter().collect())
}

fn shape(signature: &Signature, body: &Group) -> (Shape, Type) {
    let returned = match &signature.output {
        ReturnType::Default => {
            let span = signature.ident.span();
            return (
                if signature.asyncness.is_some() {
                    Shape::Async
                } else {
                    Shape::Sync
                },
                Type::Verbatim(quote_spanned!(span=> ())),
            );
        }
        ReturnType::Type(_, returned) => &**returned,
    };
    if signature.asyncness.is_some() {
        return (Shape::Async, returned.clone());
    }
    match future_output(returned) {
        Some((Shape::BoxedFuture, output)) if is_boxed_block(body) => (Shape::BoxedBlock, output),
        Some(found) => found,
        None => (Shape::Sync, returned.clone()),
    }
}

/// Whether the body is `Box::pin(async …)` and nothing else.
fn is_boxed_block(body: &Group) -> bool {
    let mut tokens = body.stream().into_iter().collect::<Vec<_>>();
    let Some(TokenTree::Group(arguments)) = tokens.pop() else {
        return false;
    };
    let called = matches!(tokens.pop(), Some(TokenTree::Ident(pin)) if pin == "pin");
    let is_async = arguments
        .stream()
        .into_iter()
        .next()
        .is_some_and(|first| matches!(first, TokenTree::Ident(word) if word == "async"));
    let path_only = tokens.iter().all(|token| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(mark) => mark.as_char() == ':',
        _ => false,
    });
    called && is_async && path_only
}
