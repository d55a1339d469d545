//! The function an attribute stands on, whatever its shape.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Error, FnArg, Pat, PatIdent, Receiver, ReceiverKind, Result, ReturnType, Signature,
    Token, Type, Visibility,
};

use crate::output::{future_output, last_segment, replace_output, type_arguments};

/// A function as written. The body stays unparsed, so that editors can complete inside it.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    visibility: Visibility,
    default: Option<Ident>,
    pub(crate) signature: Signature,
    /// Attributes of the body, `#![…]`, which have to come first.
    inner_attributes: TokenStream,
    /// Items that come before the body.
    marks: TokenStream,
    body: Group,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) receiver: Option<Passing>,
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
    /// Whether the body may change it; the argument itself then has no `mut` any more.
    mutability: Option<Token![mut]>,
    /// A pattern that gives names to parts; the argument itself has been given a name.
    pub(crate) pattern: Option<Pat>,
    /// The same, where `#[async_trait]` has already moved it into the body.
    inner_pattern: Option<Pat>,
    /// Its type; of a receiver in short form, that of `Self` is not written.
    pub(crate) kind: Option<Type>,
    pub(crate) passing: Passing,
}

/// How an argument is passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passing {
    /// `&T`
    Shared,
    /// `&mut T`
    Exclusive,
    Value,
}

impl Passing {
    fn of(kind: &Type) -> Self {
        match kind {
            Type::Group(group) => Self::of(&group.elem),
            Type::Paren(paren) => Self::of(&paren.elem),
            Type::Reference(reference) if reference.mutability.is_some() => Self::Exclusive,
            Type::Reference(_) => Self::Shared,
            _ => Self::Value,
        }
    }

    fn of_receiver(receiver: &Receiver) -> Self {
        match &receiver.kind {
            ReceiverKind::Reference(_, _, Some(_)) => Self::Exclusive,
            ReceiverKind::Reference(..) => Self::Shared,
            ReceiverKind::Typed(_, kind) => Self::of(kind),
            _ => Self::Value,
        }
    }
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
        let (inner_attributes, body) = split_inner_attributes(&body);
        let parameters = name_parameters(&mut signature);
        let receiver = signature.receiver().map(Passing::of_receiver);
        let (shape, output) = shape(&signature, &body);
        let mut function = Self {
            attributes,
            visibility,
            default,
            signature,
            inner_attributes,
            marks: TokenStream::new(),
            body,
            parameters,
            receiver,
            shape,
            output,
        };
        function.find_inner_patterns();
        Ok(function)
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
        if let Type::Never(never) = &self.output {
            return Err(Error::new_spanned(
                never,
                "premier's attributes cannot stand on functions that never return",
            ));
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
        let (named, body) = (self.named_arguments(), self.body.stream());
        quote!(#named #body)
    }

    /// Puts items before the body.
    pub(crate) fn mark_used(&mut self, mark: TokenStream) {
        self.marks.extend(mark);
    }

    /// Statements that give the arguments the patterns that the user wrote.
    fn named_arguments(&self) -> TokenStream {
        self.parameters
            .iter()
            .filter_map(|parameter| {
                let (conditions, name) = (&parameter.conditions, &parameter.name);
                match (&parameter.pattern, parameter.mutability) {
                    (Some(pattern), _) => Some(quote!(#(#conditions)* let #pattern = #name;)),
                    (None, Some(mutability)) => {
                        Some(quote!(#(#conditions)* let #mutability #name = #name;))
                    }
                    (None, None) => None,
                }
            })
            .collect()
    }

    /// References to the parts of arguments that the user's patterns name, for expressions that
    /// are evaluated before the body.
    pub(crate) fn borrowed_parts(&self) -> TokenStream {
        self.parameters
            .iter()
            .filter_map(|parameter| {
                let (conditions, name) = (&parameter.conditions, &parameter.name);
                let pattern = parameter
                    .pattern
                    .as_ref()
                    .or(parameter.inner_pattern.as_ref())?;
                let (pattern, reference) = by_reference(pattern.clone());
                Some(quote! {
                    #(#conditions)*
                    #[allow(unused_variables, clippy::toplevel_ref_arg)]
                    let #pattern = #reference #name;
                })
            })
            .collect()
    }

    /// `#[async_trait]` begins the body with `let pattern = __arg1;`.
    fn find_inner_patterns(&mut self) {
        if self.shape != Shape::BoxedBlock {
            return;
        }
        let block = self.written_block().unwrap_or_default();
        let mut tokens = block.into_iter().peekable();
        while matches!(tokens.peek(), Some(TokenTree::Ident(word)) if word == "let") {
            let statement: Vec<TokenTree> = tokens
                .by_ref()
                .skip(1)
                .take_while(
                    |token| !matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';'),
                )
                .collect();
            let [
                pattern @ ..,
                TokenTree::Punct(equals),
                TokenTree::Ident(value),
            ] = &statement[..]
            else {
                return;
            };
            let pattern: TokenStream = pattern.iter().cloned().collect();
            let Ok(pattern) = Parser::parse2(Pat::parse_single, pattern) else {
                return;
            };
            if equals.as_char() != '=' || matches!(pattern, Pat::Ident(_)) {
                continue;
            }
            let value = value.to_string();
            for parameter in &mut self.parameters {
                if parameter.name.to_string() == value {
                    parameter.inner_pattern = Some(pattern.clone());
                }
            }
        }
    }

    /// What runs in the future of a [`Shape::BoxedBlock`].
    pub(crate) fn boxed_block(&self) -> TokenStream {
        let named = self.named_arguments();
        let block = self.written_block().unwrap_or_default();
        quote!(#named #block)
    }

    fn written_block(&self) -> Option<TokenStream> {
        let TokenTree::Group(arguments) = self.body.stream().into_iter().last()? else {
            return None;
        };
        match arguments.stream().into_iter().last()? {
            TokenTree::Group(block) => Some(block.stream()),
            _ => None,
        }
    }

    /// Whether the output is `()`.
    pub(crate) fn yields_unit(&self) -> bool {
        self.output.to_token_stream().is_empty()
            || self.output.to_token_stream().to_string() == "()"
    }

    /// Takes the `mut` of a receiver by value off the signature, for a body that has `self` under
    /// another name.
    fn without_mut_self(&self) -> Option<Signature> {
        let mut signature = self.signature.clone();
        let Some(FnArg::Receiver(receiver)) = signature.inputs.first_mut() else {
            return None;
        };
        receiver.mutability.take()?;
        Some(signature)
    }

    /// The function with another body, and with another output if it is given one.
    /// `renames_self`: see [`Function::without_mut_self`].
    pub(crate) fn with_body(
        &self,
        body: TokenStream,
        output: Option<&Type>,
        renames_self: bool,
    ) -> TokenStream {
        let Self {
            attributes,
            visibility,
            default,
            signature,
            ..
        } = self;
        let mut signature = signature.clone();
        if renames_self && let Some(without) = self.without_mut_self() {
            signature = without;
        }
        if let Some(output) = output {
            replace_output(&mut signature, self.shape, output);
        }
        // Its fallible form is already marked.
        let attributes = attributes.iter().filter(|attribute| {
            output.is_none()
                || !matches!(&attribute.meta, syn::Meta::Path(path) if path.is_ident("must_use"))
        });
        // That errors come of it is said by the attribute.
        let quiet = output.map(|_| quote!(#[allow(clippy::missing_errors_doc)]));
        let (inner_attributes, marks) = (&self.inner_attributes, &self.marks);
        let body = quote!(#inner_attributes #marks #body);
        let mut group = Group::new(Delimiter::Brace, body);
        group.set_span(self.body.span());
        quote!(#(#attributes)* #quiet #visibility #default #signature #group)
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
                mutability: None,
                pattern: None,
                inner_pattern: None,
                kind: None,
                passing: Passing::of_receiver(receiver),
            },
            FnArg::Typed(typed) => {
                let mut parameter = Parameter {
                    conditions: typed.attrs.iter().filter(is_condition).cloned().collect(),
                    name: TokenStream::new(),
                    mutability: None,
                    pattern: None,
                    inner_pattern: None,
                    kind: Some((*typed.ty).clone()),
                    passing: Passing::of(&typed.ty),
                };
                if let Pat::Ident(PatIdent {
                    ident,
                    mutability,
                    by_ref: None,
                    subpat: None,
                    ..
                }) = &mut *typed.pat
                {
                    parameter.name = ident.to_token_stream();
                    parameter.mutability = mutability.take();
                    return parameter;
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
                parameter.name = name.to_token_stream();
                parameter.pattern = Some(pattern);
                parameter
            }
        })
        .collect()
}

/// A pattern whose bindings are references, and what to put before the value it is matched with.
///
/// Bindings without modes of their own follow the reference that is matched. A pattern that itself
/// looks through references leaves no room for that, and says `ref` at each binding instead.
fn by_reference(mut pattern: Pat) -> (Pat, Option<Token![&]>) {
    struct Modes {
        explicit: bool,
    }
    impl VisitMut for Modes {
        fn visit_pat_ident_mut(&mut self, pattern: &mut PatIdent) {
            pattern.by_ref = self.explicit.then(Default::default);
            pattern.mutability = None;
            visit_mut::visit_pat_ident_mut(self, pattern);
        }
    }
    struct FindReference(bool);
    impl VisitMut for FindReference {
        fn visit_pat_reference_mut(&mut self, _: &mut syn::PatReference) {
            self.0 = true;
        }
    }
    let mut find = FindReference(false);
    find.visit_pat_mut(&mut pattern);
    Modes { explicit: find.0 }.visit_pat_mut(&mut pattern);
    (pattern, (!find.0).then(Default::default))
}

fn split_inner_attributes(body: &Group) -> (TokenStream, Group) {
    let mut inner = TokenStream::new();
    let mut rest: std::collections::VecDeque<TokenTree> = body.stream().into_iter().collect();
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
    let mut group = Group::new(Delimiter::Brace, rest.into_iter().collect());
    group.set_span(body.span());
    (inner, group)
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
