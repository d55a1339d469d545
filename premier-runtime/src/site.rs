//! What the expansion of `#[throttle]` talks to. Not part of the public interface.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::Error;
use crate::acquire::{Acquire, acquire, acquire_async, shortcut};
use crate::gate::{Gate, Patience};
use crate::handler::Operation;
use crate::key_buffer::KeyBuffer;
use crate::limit::{Algo, Limit};
use crate::quantity;
use crate::runtime::Runtime;

/// The static of one `#[throttle]`: its limit, bound at the first call.
#[derive(Debug, Default)]
pub struct Site {
    bound: OnceLock<Result<Bound, Error>>,
}

#[derive(Debug)]
struct Bound {
    gate: Gate,
    patience: Patience,
}

/// What an attribute says, as values.
#[derive(Debug)]
pub struct Spec {
    module: &'static str,
    /// The `type_name` of an item inside the function.
    inside: &'static str,
    name: Option<&'static str>,
    nth: usize,
    algo: Option<Algo>,
    rates: Vec<(u64, Duration)>,
    burst: Option<u64>,
    bucket_size: Option<u64>,
    patience: Patience,
    problem: Option<Error>,
}

impl Site {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bound: OnceLock::new(),
        }
    }

    /// Admits a call of a sync function, waiting on the thread where the limit says so.
    ///
    /// # Errors
    /// When the call is not admitted.
    #[inline]
    pub fn enter<K: Display + ?Sized>(
        &'static self,
        spec: fn() -> Spec,
        key: Option<&K>,
        cost: Result<u64, Error>,
    ) -> Result<(), Error> {
        let Bound { gate, patience } = self.bound(spec)?;
        let cost = cost?;
        match key {
            None => acquire(gate, None, cost, *patience),
            Some(key) => acquire(gate, Some(KeyBuffer::format(key).as_str()), cost, *patience),
        }
        .map(drop)
    }

    /// Admits a call of an async function. In memory the decision is made here, before the first
    /// poll, and nothing is allocated unless the call has to wait.
    #[inline]
    pub fn enter_async<K: Display + ?Sized>(
        &'static self,
        spec: fn() -> Spec,
        key: Option<&K>,
        cost: Result<u64, Error>,
    ) -> Admission {
        let begun = match key {
            None => self.begin(spec, None, cost),
            Some(key) => self.begin(spec, Some(KeyBuffer::format(key).as_str()), cost),
        };
        begun.unwrap_or_else(|error| Admission(Stage::Decided(Some(Err(error)))))
    }

    /// Admits a call whose future is built now and awaited later, if ever: the key is read now, and
    /// nothing is decided before the first poll.
    pub fn enter_deferred<K: Display + ?Sized>(
        &'static self,
        spec: fn() -> Spec,
        key: Option<&K>,
        cost: Result<u64, Error>,
    ) -> Admission {
        let user = key.map(ToString::to_string);
        Admission(Stage::Waiting(Box::pin(async move {
            let Bound { gate, patience } = self.bound(spec)?;
            acquire_async(gate, user.as_deref(), cost?, *patience)
                .await
                .map(drop)
        })))
    }

    fn begin(
        &'static self,
        spec: fn() -> Spec,
        user: Option<&str>,
        cost: Result<u64, Error>,
    ) -> Result<Admission, Error> {
        let Bound { gate, patience } = self.bound(spec)?;
        let cost = cost?;
        if !gate.is_immediate() || Acquire::would_queue(gate, user, *patience) {
            return Ok(Admission::wait(gate, user, cost, *patience, None));
        }
        let decision = gate.handle(user, Operation::Take(cost))?;
        Ok(match shortcut(gate, user, *patience, &decision)? {
            Some(_) => Admission(Stage::Decided(Some(Ok(())))),
            None => Admission::wait(gate, user, cost, *patience, Some(decision)),
        })
    }

    #[inline]
    fn bound(&'static self, spec: fn() -> Spec) -> Result<&'static Bound, Error> {
        self.bound
            .get_or_init(|| spec().bind())
            .as_ref()
            .map_err(Error::clone)
    }
}

/// The future of [`Site::enter_async`].
#[must_use = "futures do nothing unless awaited"]
pub struct Admission(Stage);

enum Stage {
    Decided(Option<Result<(), Error>>),
    Waiting(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>),
}

impl Admission {
    fn wait(
        gate: &'static Gate,
        user: Option<&str>,
        cost: u64,
        patience: Patience,
        first: Option<crate::Decision>,
    ) -> Self {
        let user = user.map(str::to_owned);
        Self(Stage::Waiting(Box::pin(async move {
            let user = user.as_deref();
            match first {
                Some(first) => {
                    Acquire::after(gate, user, cost, patience, first)?
                        .run()
                        .await
                }
                None => acquire_async(gate, user, cost, patience).await,
            }
            .map(drop)
        })))
    }
}

impl Future for Admission {
    type Output = Result<(), Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Stage::Decided(result) => Poll::Ready(result.take().unwrap_or(Ok(()))),
            Stage::Waiting(future) => future.as_mut().poll(context),
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl Spec {
    /// For the function around `inside`, in `module`; `nth` counts the throttles above it.
    #[must_use]
    pub fn new<F>(module: &'static str, inside: F, nth: usize) -> Self {
        let _ = inside;
        Self {
            module,
            inside: std::any::type_name::<F>(),
            name: None,
            nth,
            algo: None,
            rates: Vec::new(),
            burst: None,
            bucket_size: None,
            patience: Patience::None,
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// `algo = …`
    #[must_use]
    pub fn algo(mut self, algo: impl IntoAlgo) -> Self {
        self.algo = note(&mut self.problem, algo.into_algo());
        self
    }

    /// `quota = …, duration = …`
    #[must_use]
    pub fn quota(mut self, quota: impl IntoUnits, period: impl IntoPeriod) -> Self {
        let quota = note(&mut self.problem, quota.into_units("quota"));
        let period = note(&mut self.problem, period.into_period());
        self.rates.extend(quota.zip(period));
        self
    }

    /// `rate = …`, or one of `limits(…)`
    #[must_use]
    pub fn rate(mut self, rate: impl AsRef<str>) -> Self {
        let parsed = quantity::parse_rate(rate.as_ref()).map_err(Error::config);
        let rate = note(&mut self.problem, parsed);
        self.rates
            .extend(rate.map(|(quota, period)| (quota, Duration::from_nanos(period))));
        self
    }

    /// `burst = …`
    #[must_use]
    pub fn burst(mut self, tokens: impl IntoUnits) -> Self {
        self.burst = note(&mut self.problem, tokens.into_units("burst"));
        self
    }

    /// `bucket_size = …`
    #[must_use]
    pub fn bucket_size(mut self, units: impl IntoUnits) -> Self {
        self.bucket_size = note(&mut self.problem, units.into_units("bucket_size"));
        self
    }

    /// `wait`
    #[must_use]
    pub fn wait(mut self) -> Self {
        self.patience = Patience::Unbounded;
        self
    }

    /// `wait = …`
    #[must_use]
    pub fn wait_at_most(mut self, longest: impl IntoPeriod) -> Self {
        let longest = note(&mut self.problem, longest.into_period());
        self.patience = longest.map_or(Patience::None, Patience::AtMost);
        self
    }

    fn bind(self) -> Result<Bound, Error> {
        let path = self.path();
        let bound = match &self.problem {
            Some(problem) => Err(problem.clone()),
            None => {
                let runtime = Runtime::global();
                let algo = self.algo.unwrap_or(runtime.algo());
                let limits: Vec<Limit> = self
                    .rates
                    .iter()
                    .map(|&(quota, period)| self.limit(algo, quota, period))
                    .collect();
                Gate::new(runtime, &path, &limits)
            }
        };
        match bound {
            Ok(gate) => Ok(Bound {
                gate,
                patience: self.patience,
            }),
            Err(Error::Config { message }) => {
                Err(Error::config(format!("#[throttle] of {path}: {message}")))
            }
            Err(error) => Err(error),
        }
    }

    fn limit(&self, algo: Algo, quota: u64, period: Duration) -> Limit {
        let mut limit = Limit::new(algo, quota, period);
        if let Some(tokens) = self.burst {
            limit = limit.burst(tokens);
        }
        if let Some(units) = self.bucket_size {
            limit = limit.bucket_size(units);
        }
        limit
    }

    /// `{module}:{function}`, where the function includes its type.
    fn path(&self) -> String {
        let function = match self.name {
            Some(name) => name.to_owned(),
            None => function_name(self.module, self.inside),
        };
        match self.nth {
            0 => format!("{}:{function}", self.module),
            // A second throttle of the same function is another limit.
            nth => format!("{}:{function}#{}", self.module, nth + 1),
        }
    }
}

/// `shop::cart::<impl Cart>::get::{{closure}}::here` in module `shop::cart`, without what is not a
/// name of the user's.
fn function_name(module: &str, inside: &str) -> String {
    let mut path = inside;
    for generated in ["__premier_here", "{{closure}}"] {
        while let Some(outer) = path
            .strip_suffix(generated)
            .and_then(|path| path.strip_suffix("::"))
        {
            path = outer;
        }
    }
    path.replace(&format!("{module}::"), "")
}

fn note<T>(problem: &mut Option<Error>, result: Result<T, Error>) -> Option<T> {
    result
        .map_err(|error| *problem = problem.take().or(Some(error)))
        .ok()
}

/// Whole numbers of any type.
pub trait IntoUnits {
    /// The number, unless it is negative or too large.
    ///
    /// # Errors
    /// [`Error::Config`] that names `what`.
    fn into_units(self, what: &str) -> Result<u64, Error>;
}

macro_rules! into_units {
    ($($number:ty)*) => {$(
        impl IntoUnits for $number {
            fn into_units(self, what: &str) -> Result<u64, Error> {
                u64::try_from(self).map_err(|_| {
                    Error::config(format!("{what} must be a number from 0 to 2^64, not {self}"))
                })
            }
        }
    )*};
}
into_units!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

macro_rules! into_units_nonzero {
    ($($number:ident)*) => {$(
        impl IntoUnits for std::num::$number {
            fn into_units(self, what: &str) -> Result<u64, Error> {
                self.get().into_units(what)
            }
        }
    )*};
}
into_units_nonzero!(NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroUsize);

/// Seconds as a number, text with a unit, or a `Duration`.
pub trait IntoPeriod {
    /// The length of time.
    ///
    /// # Errors
    /// [`Error::Config`] that says what is accepted.
    fn into_period(self) -> Result<Duration, Error>;
}

impl IntoPeriod for Duration {
    fn into_period(self) -> Result<Duration, Error> {
        Ok(self)
    }
}

impl IntoPeriod for &str {
    fn into_period(self) -> Result<Duration, Error> {
        quantity::parse_duration(self)
            .map(Duration::from_nanos)
            .map_err(Error::config)
    }
}

impl IntoPeriod for String {
    fn into_period(self) -> Result<Duration, Error> {
        self.as_str().into_period()
    }
}

impl IntoPeriod for f64 {
    fn into_period(self) -> Result<Duration, Error> {
        // By way of its shortest decimal form, so that 0.1 means here what it means as a literal.
        quantity::parse_seconds(&self.to_string())
            .map(Duration::from_nanos)
            .map_err(Error::config)
    }
}

impl IntoPeriod for f32 {
    fn into_period(self) -> Result<Duration, Error> {
        f64::from(self).into_period()
    }
}

macro_rules! into_period {
    ($($number:ty)*) => {$(
        impl IntoPeriod for $number {
            fn into_period(self) -> Result<Duration, Error> {
                self.into_units("duration").map(Duration::from_secs)
            }
        }
    )*};
}
into_period!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

/// An [`Algo`] or its name.
pub trait IntoAlgo {
    /// The algorithm.
    ///
    /// # Errors
    /// [`Error::Config`] that lists what is accepted.
    fn into_algo(self) -> Result<Algo, Error>;
}

impl IntoAlgo for Algo {
    fn into_algo(self) -> Result<Algo, Error> {
        Ok(self)
    }
}

impl IntoAlgo for &str {
    fn into_algo(self) -> Result<Algo, Error> {
        self.parse()
    }
}

/// The units a call costs.
///
/// # Errors
/// [`Error::Config`] when the number is negative.
pub fn cost(units: impl IntoUnits) -> Result<u64, Error> {
    units.into_units("cost")
}

/// A caller's part of the key.
pub fn key<K: Display + ?Sized>(key: &K) -> Option<&K> {
    Some(key)
}

/// Errors that can tell of a refused call.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot carry a `premier::Error`",
    label = "does not implement `From<premier::Error>`",
    note = "either implement `From<premier::Error>` for `{Self}` (with thiserror: a variant `Throttled(#[from] premier::Error)`)",
    note = "or give the attribute `on_reject = |error| …`, which supplies the value to return"
)]
pub trait FromRejection: Sized {
    /// The user's error for premier's.
    fn from_rejection(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> FromRejection for E {
    fn from_rejection(error: Error) -> Self {
        error.into()
    }
}

/// Calls a closure once. A closure called where it is written may not return a borrow of what it
/// captured; one passed to `FnOnce` may.
pub fn once<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// As [`once`], in a `Result`.
///
/// # Errors
/// None; the type is what the caller's function returns.
pub fn once_ok<R>(body: impl FnOnce() -> R) -> Result<R, Error> {
    Ok(body())
}

#[cfg(test)]
mod tests {
    use super::function_name;

    #[test]
    fn function_names_include_the_type_and_nothing_generated() {
        for (module, inside, name) in [
            ("shop", "shop::fetch::__premier_here", "fetch"),
            ("shop", "shop::fetch::{{closure}}::__premier_here", "fetch"),
            (
                "shop::cart",
                "shop::cart::Cart::get::__premier_here",
                "Cart::get",
            ),
            (
                "shop",
                "<shop::Cart as shop::Store>::get::{{closure}}::{{closure}}::__premier_here",
                "<Cart as Store>::get",
            ),
        ] {
            assert_eq!(function_name(module, inside), name);
        }
    }
}
