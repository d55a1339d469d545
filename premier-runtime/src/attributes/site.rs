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
    /// That of the instance called first: most functions have one.
    first: OnceLock<Bound<P>>,
    /// Those of all others, which live as long as the static does.
    others: RwLock<Option<HashMap<TypeId, Other<P>>>>,
}

type Other<P> = &'static OnceLock<Bound<P>>;

#[derive(Debug)]
struct Bound<P> {
    /// Which instance this is; `None` if there can be no other.
    id: Option<TypeId>,
    policy: Result<P, Error>,
}

impl<P> Bound<P> {
    #[inline]
    fn is_of<A>(&self, instance: Instance<A>) -> bool {
        self.id.is_none_or(|id| id == (instance.id)())
    }
}

impl<P: Policy> Site<P> {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: OnceLock::new(),
            others: RwLock::new(None),
        }
    }

    /// Returns the policy of an instance. The first call makes it from the spec.
    ///
    /// # Errors
    /// [`Error::Config`] if an argument is invalid.
    #[inline]
    pub(super) fn bound(&'static self, instance: Instance<P::Args>) -> Result<&'static P, Error> {
        match self.first.get() {
            Some(bound) if bound.is_of(instance) => match &bound.policy {
                Ok(policy) => Ok(policy),
                Err(error) => Err(error.clone()),
            },
            _ => self.bind(instance),
        }
    }

    #[cold]
    fn bind(&'static self, instance: Instance<P::Args>) -> Result<&'static P, Error> {
        let first = Self::bind_in(&self.first, instance);
        if first.is_of(instance) {
            return first.policy.as_ref().map_err(Error::clone);
        }
        let id = (instance.id)();
        let other = self.known(id).unwrap_or_else(|| {
            let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
            others
                .get_or_insert_default()
                .entry(id)
                .or_insert_with(|| Box::leak(Box::default()))
        });
        let other = Self::bind_in(other, instance);
        other.policy.as_ref().map_err(Error::clone)
    }

    fn known(&self, id: TypeId) -> Option<Other<P>> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        others.as_ref()?.get(&id).copied()
    }

    fn bind_in(
        cell: &'static OnceLock<Bound<P>>,
        instance: Instance<P::Args>,
    ) -> &'static Bound<P> {
        // `get_or_init` runs the closure for one caller only.
        let mut is_new = false;
        let bound = cell.get_or_init(|| {
            is_new = true;
            let (call_site, args) = (instance.spec)().finish();
            let policy = args
                .and_then(|args| P::bind(&call_site, args))
                .map_err(|error| P::on_invalid(&call_site, error));
            Bound {
                id: call_site.is_instance().then(instance.id),
                policy,
            }
        });
        if is_new && let Ok(policy) = &bound.policy {
            policy.on_bound();
        }
        bound
    }
}
