//! The arguments of one attribute, as an expansion states them.

use super::call_site::CallSite;
use crate::error::Error;

/// Collects the arguments of one attribute. The default of `A` has the arguments of an attribute that
/// states none.
#[derive(Debug)]
pub struct Spec<A> {
    call_site: CallSite,
    args: A,
    /// The error of the first invalid argument.
    problem: Option<Error>,
}

impl<A: Default> Spec<A> {
    /// A spec without arguments.
    #[must_use]
    pub fn new(call_site: CallSite) -> Self {
        Self {
            call_site,
            args: A::default(),
            problem: None,
        }
    }

    /// `name = …`: replaces the name of the function in errors, events and metrics.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site.name = Some(name);
        self
    }

    /// Distinguishes several attributes of the same kind on one function. The first has index 0.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.call_site.index = index;
        self
    }

    /// Stores a valid value, or the error of an invalid one.
    pub(super) fn set<T>(mut self, value: Result<T, Error>, store: impl FnOnce(&mut A, T)) -> Self {
        match value {
            Ok(value) => store(&mut self.args, value),
            Err(error) => self.problem = self.problem.or(Some(error)),
        }
        self
    }

    /// Returns the call site, and the arguments if all of them are valid.
    pub(super) fn finish(self) -> (CallSite, Result<A, Error>) {
        (self.call_site, self.problem.map_or(Ok(self.args), Err))
    }
}
