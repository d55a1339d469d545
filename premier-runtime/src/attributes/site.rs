//! The static of one attribute, which holds its state between calls.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock};

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

/// The instance of a generic function, or of a method of a generic type or trait, that is called.
///
/// A static in a generic function is one for all instances of the function.
pub struct Instance<A> {
    // A function, so that an instance is passed in two registers: most functions have one, and never
    // need it.
    id: fn() -> TypeId,
    spec: fn() -> Spec<A>,
}

impl<A> Instance<A> {
    /// The instance to which the type of `item` belongs: a closure is a type of its own in each instance
    /// of the function that it is in.
    #[inline]
    pub fn of<T>(item: T, spec: fn() -> Spec<A>) -> Self {
        let _ = item;
        Self::of_type::<T>(spec)
    }

    /// The instance that `T` tells from others.
    #[inline]
    #[must_use]
    pub fn of_type<T: ?Sized>(spec: fn() -> Spec<A>) -> Self {
        Self {
            id: typeid::of::<T>,
            spec,
        }
    }
}

impl<A> Clone for Instance<A> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Instance<A> {}

impl<A> fmt::Debug for Instance<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Instance")
            .field(&(self.id)())
            .finish()
    }
}

/// The static of one attribute, with a policy for each instance of the function. A policy is made at the
/// first call, because it depends on the configuration of the process.
#[derive(Debug)]
pub struct Site<P: 'static> {
    /// The policy of a function that has one instance, as most functions do.
    only: OnceLock<Result<P, Error>>,
    /// Those of the instances of other functions. They live as long as the static does.
    instances: RwLock<Option<HashMap<TypeId, Cell<P>>>>,
}

type Cell<P> = &'static OnceLock<Result<P, Error>>;

impl<P: Policy> Site<P> {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            only: OnceLock::new(),
            instances: RwLock::new(None),
        }
    }

    /// Returns the policy of an instance. The first call makes it from the spec.
    ///
    /// # Errors
    /// [`Error::Config`] if an argument is invalid.
    #[inline]
    pub(super) fn bound(&'static self, instance: Instance<P::Args>) -> Result<&'static P, Error> {
        match self.only.get() {
            Some(Ok(policy)) => Ok(policy),
            _ => self.find(instance),
        }
    }

    #[cold]
    fn find(&'static self, instance: Instance<P::Args>) -> Result<&'static P, Error> {
        let id = (instance.id)();
        let known = self.only.get().or_else(|| self.known(id)?.get());
        let found = known.unwrap_or_else(|| self.bind(id, instance.spec));
        found.as_ref().map_err(Error::clone)
    }

    fn known(&self, id: TypeId) -> Option<Cell<P>> {
        let instances = self
            .instances
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        instances.as_ref()?.get(&id).copied()
    }

    fn bind(&'static self, id: TypeId, spec: fn() -> Spec<P::Args>) -> &'static Result<P, Error> {
        let (call_site, args) = spec().finish();
        let cell = match call_site.is_instance() {
            true => *self
                .instances
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_default()
                .entry(id)
                .or_insert_with(|| Box::leak(Box::default())),
            false => &self.only,
        };
        // `get_or_init` runs the closure for one caller only.
        let mut is_new = false;
        let bound = cell.get_or_init(|| {
            is_new = true;
            args.and_then(|args| P::bind(&call_site, args))
                .map_err(|error| P::on_invalid(&call_site, error))
        });
        if is_new && let Ok(policy) = bound {
            policy.on_bound();
        }
        bound
    }
}
