//! The variable in which a layer that ends a call records that for the layers above.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::expansion::Expansion;

impl Expansion<'_> {
    /// The variable that holds what ended the call, for a layer that ends it; `None` if no layer above
    /// observes it.
    pub(crate) fn ending_for_above(&self, index: usize) -> Option<TokenStream> {
        let is_observed = self.layers[..index]
            .iter()
            .any(|layer| layer.observes_ending());
        (is_observed && self.has_ending()).then(ending)
    }

    /// The variable that holds what ended the call, for a layer that observes it; `None` if no layer below
    /// may end the call.
    pub(crate) fn ending_of_below(&self, index: usize) -> Option<TokenStream> {
        let may_end = self.layers[index + 1..]
            .iter()
            .any(|layer| layer.may_end_call());
        may_end.then(ending)
    }

    /// Whether the expansion has that variable.
    pub(crate) fn has_ending(&self) -> bool {
        (0..self.layers.len()).any(|index| {
            self.layers[index].observes_ending() && self.ending_of_below(index).is_some()
        })
    }

    /// Declares the variable, if the expansion has it.
    pub(crate) fn declare_ending(&self) -> Option<TokenStream> {
        let (span, ending) = (Span::mixed_site(), ending());
        let crate_path = self.layers[0].crate_path();
        self.has_ending()
            .then(|| quote_spanned!(span=> let #ending = &#crate_path::__private::Ending::new();))
    }
}

fn ending() -> TokenStream {
    let span = Span::mixed_site();
    quote_spanned!(span=> __premier_ending)
}
