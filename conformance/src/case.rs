//! What a check works with: a handler, and limits whose operations are compared with what is expected.

use std::cell::Cell;
use std::fmt::Debug;
use std::ops::Deref;
use std::time::{Duration, Instant};

use premier::algorithms::Plan;
use premier::clock::{Clock, ManualClock};
use premier::{Decision, Error, Handler, Key, Limit, Operation, Request, Reservation};

/// Longer than any check takes in real time, because a store may let states expire by a clock of its own.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How long a check waits for work that a store does in the background.
const PATIENCE: Duration = Duration::from_secs(5);

/// One check of one handler.
pub(crate) struct Case<'a> {
    pub(crate) handler: &'a dyn Handler,
    pub(crate) clock: &'a ManualClock,
    pub(crate) resolution: Duration,
    name: &'static str,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        handler: &'a dyn Handler,
        clock: &'a ManualClock,
        resolution: Duration,
        name: &'static str,
    ) -> Self {
        Self {
            handler,
            clock,
            resolution,
            name,
        }
    }

    /// A keyspace that no other check uses.
    pub(crate) fn keyspace(&self, suffix: &str) -> String {
        format!("premier-conformance {}{suffix}", self.name)
    }

    pub(crate) fn clear(&self) -> Result<(), String> {
        self.handler
            .clear(&self.keyspace(""))
            .map_err(|error| format!("clear: {error}"))
    }

    /// Limits that decide together about a key of this name.
    pub(crate) fn limits(&self, name: &str, limits: &[Limit]) -> Limited<'_> {
        self.in_keyspace(&self.keyspace(""), name, limits)
    }

    pub(crate) fn in_keyspace(&self, keyspace: &str, name: &str, limits: &[Limit]) -> Limited<'_> {
        let plan = |limit: &Limit| Plan::new(*limit).expect("a valid limit");
        Limited {
            case: self,
            prefix: format!("{keyspace}:{name}:{}", limits[0].algo()),
            subject: None,
            plans: limits.iter().map(plan).collect(),
            step: Cell::new(0),
        }
    }

    /// Waits until a condition holds that the store fulfils in the background.
    pub(crate) fn eventually(
        &self,
        what: &str,
        is_true: impl Fn() -> Result<bool, String>,
    ) -> Result<(), String> {
        let start = Instant::now();
        while !is_true()? {
            ensure(
                start.elapsed() < PATIENCE,
                format!("not within {PATIENCE:?}: {what}"),
            )?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Limits on one key.
pub(crate) struct Limited<'a> {
    pub(crate) case: &'a Case<'a>,
    prefix: String,
    subject: Option<String>,
    plans: Vec<Plan>,
    step: Cell<usize>,
}

impl Limited<'_> {
    /// The limits on another key.
    pub(crate) fn of(&self, subject: &str) -> Self {
        Self {
            case: self.case,
            prefix: self.prefix.clone(),
            subject: Some(subject.to_owned()),
            plans: self.plans.clone(),
            step: Cell::new(0),
        }
    }

    pub(crate) fn request(&self, operation: Operation) -> Request<'_> {
        let key = Key::new(&self.prefix, self.subject.as_deref());
        Request::new(key, &self.plans, operation)
    }

    pub(crate) fn try_handle(&self, operation: Operation) -> Result<Decision, Error> {
        self.step.set(self.step.get() + 1);
        self.case.handler.handle(&self.request(operation))
    }

    pub(crate) fn handle(&self, operation: Operation) -> Result<Decision, String> {
        self.try_handle(operation)
            .map_err(|error| self.at_step(operation, error))
    }

    /// A failure with the step at which it happened.
    pub(crate) fn at_step(&self, operation: Operation, failure: impl ToString) -> String {
        let limits: Vec<_> = self.plans.iter().map(|plan| *plan.limit()).collect();
        let limits: Vec<_> = limits.iter().map(ToString::to_string).collect();
        format!(
            "{} step {} at {:?}, {operation:?}: {}",
            limits.join(" and "),
            self.step.get(),
            Duration::from_nanos(self.case.clock.now()),
            failure.to_string()
        )
    }

    fn expect<T: Debug + PartialEq>(
        &self,
        operation: Operation,
        part: impl Fn(&Decision) -> T,
        expected: T,
    ) -> Result<Checked, String> {
        let decision = self.handle(operation)?;
        let got = part(&decision);
        ensure(
            got == expected,
            self.at_step(operation, format!("{got:?} instead of {expected:?}")),
        )?;
        Ok(Checked(decision))
    }

    /// Takes `units`, which must be admitted and leave `remaining`.
    pub(crate) fn admits(&self, units: u64, remaining: u64) -> Result<Checked, String> {
        let part = |decision: &Decision| (decision.allowed, decision.remaining);
        self.expect(Operation::Take(units), part, (true, remaining))
    }

    /// Asks for units that must be denied.
    pub(crate) fn denies(&self, units: u64) -> Result<Checked, String> {
        self.expect(Operation::Take(units), |decision| decision.allowed, false)
    }

    /// Peeks, and must find `remaining` units.
    pub(crate) fn has(&self, remaining: u64) -> Result<Checked, String> {
        self.expect(Operation::Peek(0), |decision| decision.remaining, remaining)
    }

    /// Reserves a slot that must begin after this time.
    pub(crate) fn reserves(&self, cost: u64, delay: Duration) -> Result<Checked, String> {
        let longest = Duration::MAX;
        let part = |decision: &Decision| (decision.allowed, decision.delay);
        self.expect(Operation::Reserve { cost, longest }, part, (true, delay))
    }

    pub(crate) fn release(&self, reservation: &Reservation, units: u64) -> Result<(), String> {
        self.handle(Operation::Release(*reservation, units))
            .map(drop)
    }
}

/// A decision that equals the expected one, so that callers may ignore it.
#[derive(Debug)]
pub(crate) struct Checked(Decision);

impl Deref for Checked {
    type Target = Decision;

    fn deref(&self) -> &Decision {
        &self.0
    }
}

pub(crate) fn ensure(is_true: bool, failure: impl ToString) -> Result<(), String> {
    match is_true {
        true => Ok(()),
        false => Err(failure.to_string()),
    }
}

/// A limit by each algorithm that admits this many units at one instant, and as many a minute.
pub(crate) fn each_algorithm(capacity: u64) -> [Limit; 5] {
    [
        Limit::fixed_window(capacity, MINUTE),
        Limit::sliding_window(capacity, MINUTE),
        Limit::sliding_log(capacity, MINUTE),
        Limit::token_bucket(capacity, MINUTE),
        Limit::leaky_bucket(capacity, MINUTE).bucket_size(capacity - 1),
    ]
}
