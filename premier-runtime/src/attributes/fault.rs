//! Fault injection: a test can delay a call right before the body of its function, or make it fail.
//!
//! Expansions put the macro `before_body` there, inside all attributes. Without the feature `testing` it expands
//! to nothing.

#[cfg(feature = "testing")]
pub use self::with_feature::*;

/// Expands to nothing without the feature `testing`. The arguments are how the function waits, `blocking` or
/// `awaiting`, and its output, if a test can name the type of its error.
#[cfg(not(feature = "testing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __premier_before_body {
    ($mode:ident $($output:ty)?) => {};
}

/// Injects the fault that a test has asked for. The arguments are how the function waits, `blocking` or `awaiting`,
/// and its output, if a test can name the type of its error.
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
            (&$crate::__private::OutputType::<$output>::new()).premier_failed(&$fault)
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
    use std::time::Duration;

    use crate::attributes::call_site::CallSite;
    use crate::attributes::output_type::OutputType;
    use crate::clock::{SteadyClock, after};
    use crate::config::fault::Fault;
    use crate::config::runtime::Runtime;
    use crate::config::scope;

    /// The fault of one call.
    pub struct FaultOfCall {
        function: String,
        fault: Fault,
    }

    impl FaultOfCall {
        /// Takes the fault of a call that begins now, if its scope has one.
        #[must_use]
        pub fn take(call_site: &CallSite) -> Option<Self> {
            let scope = scope::current()?;
            let function = call_site.path();
            let fault = scope.take_fault(&function)?;
            Some(Self { function, fault })
        }

        /// Sleeps for the delay of the fault, blocking the thread.
        pub fn wait(&self) {
            let (clock, until) = self.sleep();
            while clock.now() < until {
                clock.park_until(until);
            }
        }

        /// Sleeps for the delay of the fault without blocking the thread.
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

        /// Checks that the call is not to fail.
        ///
        /// # Panics
        /// If it is to fail.
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

    /// A `Result` whose error a test can make.
    pub trait FailResult {
        /// What the function returns.
        type Output;

        /// Returns the error, if the call is to fail.
        fn premier_failed(&self, fault: &FaultOfCall) -> Option<Self::Output>;
    }

    // Method lookup does not see whether a type is `'static`, and would choose this impl for a parameter of
    // an impl, which need not be. It sees that such a parameter is not known to be `Unpin`, as errors are.
    impl<T, E: Unpin + 'static> FailResult for OutputType<Result<T, E>> {
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

    impl<O> FailAny for &OutputType<O> {
        type Output = O;

        fn premier_failed(&self, fault: &FaultOfCall) -> Option<O> {
            fault.cannot_fail();
            None
        }
    }
}
