//! The limits of a throttle, and the limiter that its first decision binds them to.

use std::any::TypeId;
use std::sync::{Arc, OnceLock};

use crate::algorithms::Plan;
use crate::config::runtime::Runtime;
use crate::config::scope::{self, Scope};
use crate::error::Error;
use crate::limit::quota::Limit;
use crate::limiter::known_plans::plans;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;

/// What the clones of a throttle share.
pub(super) struct Binding {
    pub(super) name: Arc<str>,
    limits: Limits,
    limiter: OnceLock<Arc<Limiter>>,
    /// The throttle's own configuration; `None` stands for that of the process.
    pub(super) runtime: Option<Arc<Runtime>>,
}

/// The limits of a throttle.
enum Limits {
    /// As a limiter has them, which shares their memory.
    Valid(Arc<[Plan]>),
    /// An error at the first decision.
    Invalid(Box<[Limit]>),
}

impl Binding {
    pub(super) fn new(name: Arc<str>, limits: &[Limit], runtime: Option<Arc<Runtime>>) -> Self {
        Self {
            limits: match plans(&name, limits) {
                Ok(plans) => Limits::Valid(plans),
                Err(_) => Limits::Invalid(limits.into()),
            },
            name,
            limiter: OnceLock::new(),
            runtime,
        }
    }

    pub(super) fn limits(&self) -> Vec<Limit> {
        match &self.limits {
            Limits::Valid(plans) => plans.iter().map(|plan| *plan.limit()).collect(),
            Limits::Invalid(limits) => limits.to_vec(),
        }
    }

    fn plans(&self) -> Result<Arc<[Plan]>, Error> {
        match &self.limits {
            Limits::Valid(plans) => Ok(Arc::clone(plans)),
            Limits::Invalid(limits) => plans(&self.name, limits),
        }
    }

    /// Whether the limits, and the throttle's own configuration, can be used.
    ///
    /// # Errors
    /// [`Error::Config`] that says what is invalid.
    #[cfg(feature = "tower")]
    pub(super) fn validate(&self) -> Result<(), Error> {
        if let Some(runtime) = &self.runtime {
            runtime.validate()?;
        }
        self.plans().map(drop)
    }

    /// The limiter of the process, once it is bound.
    #[cfg(feature = "tower")]
    pub(super) fn bound(&self) -> Option<&Arc<Limiter>> {
        self.limiter.get()
    }

    #[inline]
    pub(super) fn limiter(self: &Arc<Self>) -> Result<&Arc<Limiter>, Error> {
        if let Some(scope) = scope::current()
            && self.runtime.is_none()
        {
            return self.limiter_in(scope);
        }
        match self.limiter.get() {
            Some(limiter) => Ok(limiter),
            None => self.bind(),
        }
    }

    /// The limiter that belongs to a scope.
    fn limiter_in(self: &Arc<Self>, scope: &'static Scope) -> Result<&Arc<Limiter>, Error> {
        let key = (Arc::as_ptr(self).addr(), TypeId::of::<Limiter>());
        let (bound, _) = scope.value(key, || {
            let plans = self.plans()?;
            let limiter = overrides::bind(Runtime::global(), Arc::clone(&self.name), plans)?;
            // Kept, so that no other throttle gets its address.
            Ok::<_, Error>((limiter, Arc::clone(self)))
        })?;
        Ok(&bound.0)
    }

    #[cold]
    fn bind(&self) -> Result<&Arc<Limiter>, Error> {
        let runtime = self.runtime.as_deref().unwrap_or_else(|| Runtime::global());
        // Made before a lock is taken, as in `Site::bind`. Limiters of one name share their state.
        let bound = overrides::bind(runtime, Arc::clone(&self.name), self.plans()?)?;
        Ok(self.limiter.get_or_init(|| bound))
    }
}
