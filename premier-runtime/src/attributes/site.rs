//! The static of one attribute, which holds its state between calls.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use super::call_site::CallSite;
use super::spec::Spec;
use crate::config::scope::{self, Scope};
use crate::error::Error;

/// What all calls through one attribute share: its valid arguments and its state.
pub trait Policy: Sized + Send + Sync + 'static {
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

    /// Runs at the first call that finds an argument invalid.
    fn on_invalid(call_site: &CallSite, error: &Error) {
        let _ = (call_site, error);
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

    /// The instance that the type `T` identifies.
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
/// first call whose arguments are valid, because it depends on the configuration of the process.
#[derive(Debug)]
pub struct Site<P: 'static> {
    /// The policy of a function that has one instance, as most functions do.
    only: OnceLock<P>,
    /// The policies of a function with several instances. They live as long as the static.
    instances: RwLock<Option<HashMap<TypeId, &'static P>>>,
    /// Whether a call has found an argument invalid.
    was_invalid: AtomicBool,
}

impl<P: Policy> Site<P> {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            only: OnceLock::new(),
            instances: RwLock::new(None),
            was_invalid: AtomicBool::new(false),
        }
    }

    /// Returns the policy of an instance. The first call with valid arguments makes it from the spec.
    ///
    /// # Errors
    /// [`Error::Config`] if an argument is invalid.
    #[inline]
    pub(super) fn bound(&'static self, instance: Instance<P::Args>) -> Result<&'static P, Error> {
        if let Some(scope) = scope::current() {
            return self.bound_in(scope, instance);
        }
        match self.only.get() {
            Some(policy) => Ok(policy),
            None => self.find(instance),
        }
    }

    /// As [`Site::bound`], for the policy that belongs to a scope.
    fn bound_in(
        &'static self,
        scope: &'static Scope,
        instance: Instance<P::Args>,
    ) -> Result<&'static P, Error> {
        let key = (std::ptr::from_ref(self).addr(), (instance.id)());
        let (policy, is_new) = scope.value(key, || {
            let (call_site, args) = (instance.spec)().finish();
            let made = args.and_then(|args| P::bind(&call_site, args));
            made.map_err(|error| self.invalid(&call_site, error))
        })?;
        if is_new {
            policy.on_bound();
        }
        Ok(policy)
    }

    #[cold]
    fn find(&'static self, instance: Instance<P::Args>) -> Result<&'static P, Error> {
        let id = (instance.id)();
        match self.known(id) {
            Some(policy) => Ok(policy),
            None => self.bind(id, instance.spec),
        }
    }

    fn known(&self, id: TypeId) -> Option<&'static P> {
        let instances = self
            .instances
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        instances.as_ref()?.get(&id).copied()
    }

    fn bind(&'static self, id: TypeId, spec: fn() -> Spec<P::Args>) -> Result<&'static P, Error> {
        let (call_site, args) = spec().finish();
        // Made without a lock, because it runs user code, such as clocks and event subscribers, which may call the
        // function. If several threads make a policy at the same time, one is kept.
        let made = args.and_then(|args| P::bind(&call_site, args));
        let policy = made.map_err(|error| self.invalid(&call_site, error))?;
        let mut is_kept = false;
        let bound = match call_site.is_instance() {
            true => *self
                .instances
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_default()
                .entry(id)
                .or_insert_with(|| {
                    is_kept = true;
                    Box::leak(Box::new(policy))
                }),
            false => self.only.get_or_init(|| {
                is_kept = true;
                policy
            }),
        };
        if is_kept {
            bound.on_bound();
        }
        Ok(bound)
    }

    fn invalid(&self, call_site: &CallSite, error: Error) -> Error {
        if !self.was_invalid.swap(true, Ordering::Relaxed) {
            P::on_invalid(call_site, &error);
        }
        call_site.blame(P::ATTRIBUTE, error)
    }
}
