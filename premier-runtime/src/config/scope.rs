//! Configurations of parts of a program, which keep tests apart.
//!
//! A scope is the configuration of a thread, or of a task while it is polled, in place of the process's. It holds
//! the values that a process has in statics: the policies of attributes, the limiters of throttles, the lists of
//! names. They are leaked, because statics are borrowed for `'static`.

#[cfg(feature = "testing")]
pub(crate) use self::with_feature::*;
#[cfg(not(feature = "testing"))]
pub(crate) use self::without_feature::*;

#[cfg(feature = "testing")]
mod with_feature {
    use std::any::{Any, TypeId};
    use std::cell::Cell;
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::sync::{Mutex, MutexGuard};
    use std::time::Duration;

    use crate::config::fault::{Fault, Faults, MakeError, is_name};
    use crate::sync::lock_std;

    /// The owner of a value in a scope: the address of a static, and the instance of a generic function.
    pub(crate) type ScopeKey = (usize, TypeId);

    /// See [the module](super).
    pub(crate) struct Scope {
        runtime: &'static (dyn Any + Send + Sync),
        values: Mutex<HashMap<ScopeKey, &'static (dyn Any + Send + Sync)>>,
        tests: Mutex<Tests>,
    }

    /// The denials and faults that a test asks for.
    #[derive(Default)]
    struct Tests {
        refused: BTreeSet<Box<str>>,
        faults: Faults,
        counts: BTreeMap<Box<str>, [u64; 2]>,
    }

    thread_local! {
        static CURRENT: Cell<Option<&'static Scope>> = const { Cell::new(None) };
    }

    /// The scope of this thread.
    #[inline]
    pub(crate) fn current() -> Option<&'static Scope> {
        CURRENT.get()
    }

    /// Enters a scope on this thread until the guard is dropped.
    pub(crate) fn enter(scope: Option<&'static Scope>) -> Entered {
        Entered(CURRENT.replace(scope))
    }

    /// Restores the earlier scope.
    pub(crate) struct Entered(Option<&'static Scope>);

    impl Drop for Entered {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }

    impl Scope {
        /// A scope with this configuration.
        pub(crate) fn new<R: Any + Send + Sync>(runtime: R) -> &'static Self {
            Box::leak(Box::new(Self {
                runtime: Box::leak(Box::new(runtime)),
                values: Mutex::default(),
                tests: Mutex::default(),
            }))
        }

        /// The configuration.
        pub(crate) fn runtime<R: Any>(&self) -> Option<&'static R> {
            self.runtime.downcast_ref()
        }

        /// The value of a key, which the first call creates by `make`, and whether this call has created it. No lock
        /// is held meanwhile; of values that are created at one time, one is kept.
        pub(crate) fn value<T: Send + Sync + 'static, E>(
            &'static self,
            key: ScopeKey,
            make: impl FnOnce() -> Result<T, E>,
        ) -> Result<(&'static T, bool), E> {
            let known = self.values().get(&key).copied();
            if let Some(known) = known.and_then(|known| known.downcast_ref()) {
                return Ok((known, false));
            }
            let made: &'static T = Box::leak(Box::new(make()?));
            let kept = *self.values().entry(key).or_insert(made);
            let kept = kept.downcast_ref::<T>().unwrap_or(made);
            Ok((kept, std::ptr::eq(kept, made)))
        }

        pub(crate) fn refuse(&self, name: &str, refused: bool) {
            let mut tests = self.tests();
            match refused {
                true => tests.refused.insert(name.into()),
                false => tests.refused.remove(name),
            };
        }

        /// Whether the limits of a name deny all calls.
        pub(crate) fn refuses(&self, name: &str) -> bool {
            let tests = self.tests();
            tests.refused.iter().any(|refused| is_name(name, refused))
        }

        pub(crate) fn slow(&self, name: &str, duration: Duration) {
            self.tests().faults.slow(name, duration);
        }

        pub(crate) fn fail(&self, name: &str, calls: u64, error: MakeError) {
            let replaced = self.tests().faults.fail(name, calls, error);
            drop(replaced);
        }

        pub(crate) fn recover(&self, name: &str) {
            let removed = self.tests().faults.remove(name);
            drop(removed);
        }

        /// The fault of a call of a function that begins now.
        pub(crate) fn take_fault(&self, function: &str) -> Option<Fault> {
            self.tests().faults.take(function)
        }

        pub(crate) fn count(&self, name: &str, admitted: bool) {
            let mut tests = self.tests();
            let counts = tests.counts.entry(name.into()).or_default();
            counts[usize::from(admitted)] += 1;
        }

        /// How many calls the limits of a name have denied, and how many they have admitted.
        pub(crate) fn counts(&self, name: &str) -> [u64; 2] {
            let tests = self.tests();
            let of_name = tests.counts.iter().filter(|(of, _)| is_name(of, name));
            of_name.fold([0; 2], |sum, (_, count)| {
                [sum[0] + count[0], sum[1] + count[1]]
            })
        }

        fn values(&self) -> MutexGuard<'_, HashMap<ScopeKey, &'static (dyn Any + Send + Sync)>> {
            lock_std(&self.values)
        }

        fn tests(&self) -> MutexGuard<'_, Tests> {
            lock_std(&self.tests)
        }
    }

    impl std::fmt::Debug for Scope {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.debug_struct("Scope").finish_non_exhaustive()
        }
    }
}

#[cfg(not(feature = "testing"))]
mod without_feature {
    use std::any::TypeId;

    /// There are no scopes.
    pub(crate) enum Scope {}

    #[inline(always)]
    pub(crate) const fn current() -> Option<&'static Scope> {
        None
    }

    pub(crate) const fn enter(scope: Option<&'static Scope>) -> Option<&'static Scope> {
        scope
    }

    impl Scope {
        pub(crate) fn runtime<R>(&self) -> Option<&'static R> {
            match *self {}
        }

        pub(crate) fn value<T, E>(
            &'static self,
            _: (usize, TypeId),
            _: impl FnOnce() -> Result<T, E>,
        ) -> Result<(&'static T, bool), E> {
            match *self {}
        }

        pub(crate) fn refuses(&self, _: &str) -> bool {
            match *self {}
        }

        pub(crate) fn count(&self, _: &str, _: bool) {
            match *self {}
        }
    }
}
