//! The attributes of one function as layers, with the function and the output that they share.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::{Result, Type, parse_quote_spanned};

use super::crate_path::respan;
use crate::parse::function::Function;
use crate::parse::types::in_body;

/// An attribute on a function, with validated arguments.
pub(crate) trait Layer {
    /// The path of premier, as this attribute names it.
    fn crate_path(&self) -> &TokenStream;

    /// Returns whether the caller of the function may get a `premier::Error` from this layer.
    fn can_reject(&self) -> bool {
        false
    }

    /// Returns whether the layer puts the code that it encloses into a closure or an async block, which
    /// captures the arguments.
    fn encloses_body(&self) -> bool {
        true
    }

    /// Returns whether the layer may run the code that it encloses more than once.
    fn re_runs_body(&self) -> bool {
        false
    }

    /// Returns whether the layer handles every error of the code that it encloses, so that layers below it do not
    /// change the output of the function.
    fn handles_errors(&self) -> bool {
        false
    }

    /// Returns whether the layer may end a call without running the code that it encloses.
    fn may_end_call(&self) -> bool {
        false
    }

    /// Returns whether the layer treats a call that a layer below has ended differently from one that the function
    /// has ended.
    fn observes_ending(&self) -> bool {
        false
    }

    /// Checks the rules that involve the function and the other layers.
    fn validate(&self, _expansion: &Expansion<'_>) -> Result<()> {
        Ok(())
    }

    /// Wraps `inner`, the code that this layer encloses. `index` is the position of this layer in
    /// the expansion.
    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream;
}

/// A function and the layers around it, or those below a layer that handles errors: the output of the code
/// that such a layer encloses may differ from that of the function.
pub(crate) struct Expansion<'a> {
    pub(crate) function: &'a Function,
    /// The first layer is the outermost.
    pub(super) layers: &'a [Box<dyn Layer>],
    /// `Result<T, premier::Error>`, where `T` is the output that the user wrote. `None` if `T` is
    /// a `Result` already, or if no layer can reject a call.
    pub(super) wrapped: Option<Type>,
    /// The output of the emitted function with `_` in place of each `impl Trait`.
    output_in_body: Option<Type>,
    /// The expansion below the first layer that handles errors, with the index of its first layer.
    below: Option<(usize, Box<Expansion<'a>>)>,
}

impl<'a> Expansion<'a> {
    /// Returns the expansion if the rules of all layers are obeyed.
    pub(super) fn new(function: &'a Function, layers: &'a [Box<dyn Layer>]) -> Result<Self> {
        let expansion = Self::from(0, function, layers);
        for (index, layer) in layers.iter().enumerate() {
            layer.validate(expansion.at(index))?;
        }
        Ok(expansion)
    }

    /// The expansion of the layers from `start` on.
    fn from(start: usize, function: &'a Function, layers: &'a [Box<dyn Layer>]) -> Self {
        let handler = layers[start..]
            .iter()
            .position(|layer| layer.handles_errors());
        let end = handler.map_or(layers.len(), |handler| start + handler + 1);
        let rejecting = layers[start..end].iter().find(|layer| layer.can_reject());
        let wrapped = rejecting
            .filter(|_| !function.yields_result())
            .map(|layer| {
                let (output, crate_path) = (&function.output, layer.crate_path());
                let span = Span::mixed_site();
                parse_quote_spanned!(span=> ::core::result::Result<#output, #crate_path::Error>)
            });
        Self {
            function,
            layers,
            output_in_body: in_body(wrapped.as_ref().unwrap_or(&function.output)),
            wrapped,
            below: handler.map(|_| (end, Box::new(Self::from(end, function, layers)))),
        }
    }

    /// The expansion that the layer at `index` belongs to.
    pub(super) fn at(&self, index: usize) -> &Self {
        match &self.below {
            Some((first, below)) if index >= *first => below.at(index),
            _ => self,
        }
    }

    /// The expansion of the code that a layer which handles errors encloses.
    pub(crate) fn below(&self) -> &Self {
        self.below.as_ref().map_or(self, |(_, below)| below)
    }

    /// The output of the emitted function.
    pub(crate) fn output(&self) -> &Type {
        self.wrapped.as_ref().unwrap_or(&self.function.output)
    }

    /// The output of the emitted function as its body can name it.
    pub(super) const fn output_in_body(&self) -> Option<&Type> {
        self.output_in_body.as_ref()
    }

    /// Returns whether the output is the user's within a `Result`.
    pub(crate) const fn is_wrapped(&self) -> bool {
        self.wrapped.is_some()
    }

    /// Returns an output of the user's as the output of the expansion.
    pub(crate) fn wrapped_value(&self, value: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        match &self.wrapped {
            Some(_) => quote_spanned!(span=> ::core::result::Result::Ok(#value)),
            None => value.clone(),
        }
    }

    /// Returns the output in the variable `__premier_outcome` as a `Result` of references. The compiler
    /// reports an output that is not a `Result` at its type.
    pub(crate) fn outcome_as_result(&self, crate_path: &TokenStream) -> TokenStream {
        let span = self.function.output.span().resolved_at(Span::mixed_site());
        let crate_path = respan(crate_path, span);
        quote_spanned!(span=> #crate_path::bounds::ResultOutput::as_result(&__premier_outcome))
    }

    /// Returns `: Output`, for a variable that holds the output.
    pub(crate) fn ascription(&self) -> Option<TokenStream> {
        let span = Span::mixed_site();
        self.output_in_body()
            .map(|output| quote_spanned!(span=> : #output))
    }

    /// Returns `.await` if the body runs in a future.
    pub(crate) fn awaited(&self) -> Option<TokenStream> {
        let span = Span::mixed_site();
        self.function
            .is_async()
            .then(|| quote_spanned!(span=> .await))
    }

    /// Returns `method`, or `method_async` if the body runs in a future.
    pub(crate) fn method(&self, method: &str) -> Ident {
        let suffix = if self.function.is_async() {
            "_async"
        } else {
            ""
        };
        format_ident!("{method}{suffix}", span = Span::mixed_site())
    }
}
