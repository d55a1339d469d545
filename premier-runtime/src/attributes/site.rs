//! The static of one attribute, which holds its state between calls.

use std::sync::OnceLock;

use super::call_site::CallSite;
use super::spec::Spec;
use crate::error::Error;

/// What all calls through one attribute share: its valid arguments and its state.
pub trait Policy: Sized + 'static {
    /// The name of the attribute, for errors.
    const ATTRIBUTE: &'static str;

    /// The arguments that expansions set.
    type Args: Default;

    /// Makes the policy at the first call of the function.
    ///
    /// # Errors
    /// [`Error::Config`] if the arguments together are invalid.
    fn bind(call_site: &CallSite, args: Self::Args) -> Result<Self, Error>;

    /// Runs once, when the site holds the policy.
    fn on_bound(&'static self) {}

    /// Runs once, if the policy cannot be made. Returns the error of every call.
    fn on_invalid(call_site: &CallSite, error: Error) -> Error {
        call_site.blame(Self::ATTRIBUTE, error)
    }
}

/// The static of one attribute. Its policy is made at the first call of the function, because it
/// depends on the configuration of the process.
#[derive(Debug)]
pub struct Site<P> {
    bound: OnceLock<Result<P, Error>>,
}

impl<P: Policy> Site<P> {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bound: OnceLock::new(),
        }
    }

    /// Returns the policy. The first call makes it from the spec.
    ///
    /// # Errors
    /// [`Error::Config`] if an argument is invalid.
    #[inline]
    pub(super) fn bound(&'static self, spec: fn() -> Spec<P::Args>) -> Result<&'static P, Error> {
        match self.bound.get() {
            Some(Ok(policy)) => Ok(policy),
            _ => self.bind(spec),
        }
    }

    #[cold]
    fn bind(&'static self, spec: fn() -> Spec<P::Args>) -> Result<&'static P, Error> {
        // `get_or_init` runs the closure for one caller only.
        let mut is_first = false;
        let bound = self.bound.get_or_init(|| {
            is_first = true;
            let (call_site, args) = spec().finish();
            args.and_then(|args| P::bind(&call_site, args))
                .map_err(|error| P::on_invalid(&call_site, error))
        });
        let policy = bound.as_ref().map_err(Error::clone)?;
        if is_first {
            policy.on_bound();
        }
        Ok(policy)
    }
}
