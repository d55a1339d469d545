//! The faults that a test injects into the calls of a function: delays and errors.

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The fault of one call.
#[derive(Clone, Default)]
pub(crate) struct Fault {
    /// How long the call sleeps before its body runs.
    pub(crate) slow: Duration,
    /// The error that it then returns instead of running its body.
    pub(crate) error: Option<MakeError>,
}

/// Makes the error of one call.
#[derive(Clone)]
pub(crate) struct MakeError {
    make: Arc<dyn Fn() -> Box<dyn Any> + Send + Sync>,
    /// The type of the error.
    pub(crate) type_name: &'static str,
}

impl MakeError {
    pub(crate) fn new<E: Any>(make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        Self {
            make: Arc::new(move || Box::new(make())),
            type_name: type_name::<E>(),
        }
    }

    pub(crate) fn make(&self) -> Box<dyn Any> {
        (self.make)()
    }
}

/// The faults of the functions of a scope, by name.
#[derive(Default)]
pub(crate) struct Faults(BTreeMap<Box<str>, FaultsOfName>);

#[derive(Default)]
pub(crate) struct FaultsOfName {
    slow: Duration,
    /// How many calls are still to fail, and with which error.
    failing: Option<(u64, MakeError)>,
}

impl Faults {
    pub(crate) fn slow(&mut self, name: &str, duration: Duration) {
        self.0.entry(name.into()).or_default().slow = duration;
    }

    /// Returns the replaced fault, whose closure belongs to the test and must be dropped without a lock.
    #[must_use]
    pub(crate) fn fail(
        &mut self,
        name: &str,
        calls: u64,
        error: MakeError,
    ) -> Option<(u64, MakeError)> {
        let faults = self.0.entry(name.into()).or_default();
        faults.failing.replace((calls, error))
    }

    /// Returns the removed fault, as [`Faults::fail`] does.
    #[must_use]
    pub(crate) fn remove(&mut self, name: &str) -> Option<FaultsOfName> {
        self.0.remove(name)
    }

    /// The fault of a call of this function that begins now, if it has one.
    pub(crate) fn take(&mut self, function: &str) -> Option<Fault> {
        let mut taken: Option<Fault> = None;
        for (_, faults) in self
            .0
            .iter_mut()
            .filter(|(name, _)| is_name(function, name))
        {
            let fault = taken.get_or_insert_default();
            fault.slow = fault.slow.max(faults.slow);
            if fault.error.is_none()
                && let Some((calls @ 1.., error)) = &mut faults.failing
            {
                *calls -= 1;
                fault.error = Some(error.clone());
            }
        }
        taken
    }
}

/// Whether a limit or a function has this name, which may be its last part: `fetch` for `app::client::fetch`.
pub(crate) fn is_name(path: &str, name: &str) -> bool {
    let before = path.strip_suffix(name);
    before.is_some_and(|before| before.is_empty() || before.ends_with(':'))
}
