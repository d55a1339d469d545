//! The place where the body of a function begins: there a test can make a call slow or failing.
//!
//! Expansions put the macro `before_body` there, within all attributes. Without the feature `testing` it
//! is nothing, so that the function is compiled as if it were not there.

#[cfg(feature = "testing")]
pub use self::with_feature::*;

/// What an expansion does before the body. It is given how the function waits, `blocking` or `awaiting`,
/// and its output, if that can be an error of a type that a test can name.
#[cfg(not(feature = "testing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __premier_before_body {
    ($mode:ident $($output:ty)?) => {};
}

/// What an expansion does before the body, as a test asks. It is given how the function waits, `blocking`
/// or `awaiting`, and its output, if that can be an error of a type that a test can name.
#[cfg(feature = "testing")]
#[doc(hidden)]
#[macro_export]
macro_rules! __premier_before_body {
    ($mode:ident $($output:ty)?) => {
        if let ::core::option::Option::Some(fault) = {
            // An item, so that all instances of a generic function have one name.
            fn __premier_here() {}
            $crate::__private::FaultOfCall::take(&$crate::__private::CallSite::new(
                ::core::module_path!(),
                __premier_here,
                __premier_here,
            ))
        } {
            $crate::__premier_before_body!(@wait $mode fault);
            $crate::__premier_before_body!(@fail fault $($output)?);
        }
    };
    (@wait blocking $fault:ident) => { $fault.wait() };
    (@wait awaiting $fault:ident) => { $fault.wait_async().await };
    (@fail $fault:ident $output:ty) => {
        #[allow(unused_imports)]
        use $crate::__private::{FailAny as _, FailResult as _};
        if let ::core::option::Option::Some(output) =
            (&$crate::__private::Failing::<$output>::new()).premier_failed(&$fault)
        {
            return output;
        }
    };
    (@fail $fault:ident) => { $fault.cannot_fail() };
}

#[cfg(feature = "testing")]
mod with_feature {
    use std::any::type_name;
    use std::fmt;
    use std::marker::PhantomData;
    use std::time::Duration;

    use crate::attributes::call_site::CallSite;
    use crate::clock::{SteadyClock, after};
    use crate::config::fault::Fault;
    use crate::config::runtime::Runtime;
    use crate::config::scope;

    /// What a test asks of one call.
    pub struct FaultOfCall {
        function: String,
        fault: Fault,
    }

    impl FaultOfCall {
        /// The fault of a call that begins now, if its scope has one for it.
        #[must_use]
        pub fn take(call_site: &CallSite) -> Option<Self> {
            let scope = scope::current()?;
            let function = call_site.path();
            let fault = scope.take_fault(&function)?;
            Some(Self { function, fault })
        }

        /// Sleeps as long as the call is to be slow, blocking the thread.
        pub fn wait(&self) {
            let (clock, until) = self.sleep();
            while clock.now() < until {
                clock.park_until(until);
            }
        }

        /// Sleeps as long as the call is to be slow, without blocking the thread.
        pub async fn wait_async(&self) {
            if self.fault.slow > Duration::ZERO {
                let (clock, until) = self.sleep();
                clock.sleep_until(until).await;
            }
        }

        fn sleep(&self) -> (&'static SteadyClock, u64) {
            let clock = Runtime::global().clock();
            (clock, after(clock.now(), self.fault.slow))
        }

        /// Goes on if the call is not to fail.
        ///
        /// # Panics
        /// If it is.
        pub fn cannot_fail(&self) {
            assert!(
                self.fault.error.is_none(),
                "testing::Scope::fail: {} has no error that a test can make: its output is no `Result`, or the \
                 type of its error has a lifetime, a type parameter, `Self` or `impl`",
                self.function,
            );
        }

        fn error<E: 'static>(&self) -> Option<E> {
            let error = self.fault.error.as_ref()?;
            let made = error.make().downcast().unwrap_or_else(|_| {
                panic!(
                    "testing::Scope::fail: the error of {} is of the type `{}`, and the test makes one of the \
                     type `{}`",
                    self.function,
                    type_name::<E>(),
                    error.type_name,
                )
            });
            Some(*made)
        }
    }

    impl fmt::Debug for FaultOfCall {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter
                .debug_tuple("FaultOfCall")
                .field(&self.function)
                .finish()
        }
    }

    /// Makes the output of a failing call.
    ///
    /// The expansion calls a method on `&Failing::<Output>::new()`. Method lookup chooses [`FailResult`] if
    /// the output is a `Result`, [`FailAny`] otherwise.
    #[derive(Debug)]
    pub struct Failing<O>(PhantomData<fn() -> O>);

    impl<O> Failing<O> {
        /// For a function that returns `O`.
        #[must_use]
        #[allow(clippy::new_without_default, reason = "only expansions make one")]
        pub const fn new() -> Self {
            Self(PhantomData)
        }
    }

    /// A `Result` whose error a test can make.
    pub trait FailResult {
        /// What the function returns.
        type Output;

        /// Returns the error, if the call is to fail.
        fn premier_failed(&self, fault: &FaultOfCall) -> Option<Self::Output>;
    }

    // Method lookup does not see whether a type is `'static`, and would choose this impl for a parameter of
    // an impl, which need not be. It sees that such a parameter is not known to be `Unpin`, as errors are.
    impl<T, E: Unpin + 'static> FailResult for Failing<Result<T, E>> {
        type Output = Result<T, E>;

        fn premier_failed(&self, fault: &FaultOfCall) -> Option<Result<T, E>> {
            fault.error().map(Err)
        }
    }

    /// All other outputs.
    pub trait FailAny {
        /// What the function returns.
        type Output;

        /// Panics if the call is to fail.
        fn premier_failed(&self, fault: &FaultOfCall) -> Option<Self::Output>;
    }

    impl<O> FailAny for &Failing<O> {
        type Output = O;

        fn premier_failed(&self, fault: &FaultOfCall) -> Option<O> {
            fault.cannot_fail();
            None
        }
    }
}
