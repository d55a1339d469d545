//! The type of a function's output, by which method lookup selects an impl.

use std::marker::PhantomData;

/// The type `O` of a function's output.
///
/// A macro does not know types. An expansion therefore calls a method such as `premier_cached` on references to
/// `OutputType::<O>::new()`. Method lookup removes one reference after another and takes the first trait with this
/// method that is implemented: one for outputs with a certain property, or else one for all outputs (autoref
/// specialization, after David Tolnay's "case study").
#[derive(Debug)]
pub struct OutputType<O>(PhantomData<fn() -> O>);

impl<O> OutputType<O> {
    /// The type of the output of a function that returns `O`.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "only expansions create it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}
