//! The lean scripts, and which calls each can decide.

use std::sync::LazyLock;

use super::check::Check;
use super::script::Script;
use crate::algorithms::Plan;
use crate::limit::algo::Algo;
use crate::store::request::Operation;

macro_rules! lean_script {
    ($($part:literal),*) => {
        LazyLock::new(|| Script::new(concat!(
            include_str!("scripts/lean/head.lua"),
            $(include_str!(concat!("scripts/lean/", $part, ".lua"))),*
        )))
    };
}

static TAT: LazyLock<Script> = lean_script!("tat", "each");
static FIXED_WINDOW: LazyLock<Script> = lean_script!("fixed_window", "each");
static SLIDING_WINDOW: LazyLock<Script> = lean_script!("sliding_window", "each");
/// The script of a log is as short for one operation as for all.
static SLIDING_LOG: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/number.lua"),
        include_str!("scripts/sliding_log.lua"),
        include_str!("scripts/lean/logs.lua")
    ))
});
static GROUP: LazyLock<Script> = lean_script!("tat", "fixed_window", "sliding_window", "group");

/// The most calls that one script decides, because the server runs no other command meanwhile.
pub(super) const MAX_CALLS: usize = 128;

/// Numbers below this stay exact when a script adds a few of them and the time.
const LARGEST: u64 = 1 << 50;

/// The lean script that decides a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Tat,
    FixedWindow,
    SlidingWindow,
    SlidingLog,
    /// Several limits that decide as one.
    Group,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Tat,
        Self::FixedWindow,
        Self::SlidingWindow,
        Self::SlidingLog,
        Self::Group,
    ];

    /// The lean script for a call; `None` if no lean script can decide it.
    pub(super) fn of(check: &Check) -> Option<Self> {
        let mut limits = check.limits();
        let (plan, operation) = limits.next()?;
        let first = Self::of_limit(plan, operation)?;
        let keys = &*check.keys;
        if keys.len() == 1 {
            return Some(first);
        }
        let is_lean = |(plan, operation)| {
            Self::of_limit(plan, operation).is_some_and(|kind| kind != Self::SlidingLog)
        };
        // A script looks at all limits of a call before it takes from the first.
        let are_different = (1..keys.len()).all(|k| !keys[..k].contains(&keys[k]));
        (first != Self::SlidingLog && limits.all(is_lean) && are_different).then_some(Self::Group)
    }

    fn of_limit(plan: &Plan, operation: Operation) -> Option<Self> {
        let cost = match operation {
            Operation::Take(cost) | Operation::Reserve { cost, .. } => cost,
            Operation::Peek(_)
            | Operation::Reset
            | Operation::Charge { .. }
            | Operation::Refund(_)
            | Operation::Release(..) => 0,
        };
        let period = plan.period().div_ceil(1_000);
        let quota = plan.limit().quota();
        let fits = cost > 0
            && period < LARGEST
            && match plan.limit().algo() {
                Algo::LeakyBucket | Algo::TokenBucket => {
                    plan.den() < LARGEST / 1_000
                        && plan.ticks(plan.capacity())
                            < u128::from(plan.den()) * u128::from(LARGEST)
                }
                Algo::FixedWindow => quota < LARGEST,
                Algo::SlidingWindow => plan.period().is_multiple_of(1_000) && quota < LARGEST,
                Algo::SlidingLog => quota < LARGEST,
            };
        fits.then(|| match plan.limit().algo() {
            Algo::FixedWindow => Self::FixedWindow,
            Algo::SlidingWindow => Self::SlidingWindow,
            Algo::SlidingLog => Self::SlidingLog,
            Algo::LeakyBucket | Algo::TokenBucket => Self::Tat,
        })
    }

    pub(super) fn script(self) -> &'static Script {
        match self {
            Self::Tat => &TAT,
            Self::FixedWindow => &FIXED_WINDOW,
            Self::SlidingWindow => &SLIDING_WINDOW,
            Self::SlidingLog => &SLIDING_LOG,
            Self::Group => &GROUP,
        }
    }
}
