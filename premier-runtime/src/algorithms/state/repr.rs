//! A state as the instant of a bucket, and as the counters of a window.

use super::{Repr, State};
use crate::algorithms::gcra::Gcra;
use crate::algorithms::owing_window::OwingWindow;
#[cfg(feature = "redis")]
use crate::algorithms::plan::Plan;
#[cfg(feature = "redis")]
use crate::algorithms::rule::Rule;
use crate::algorithms::tat::{Reserved, Tat};
use crate::algorithms::window::{Window, WindowState};

impl State {
    /// The TAT of a bucket in ticks at `now`, which is `at` in ticks, and whether it lay further in the future
    /// than calls can have moved it.
    pub(super) fn instant_under(&self, gcra: &Gcra<u128>, now: u64, at: u128) -> (u128, bool) {
        match &self.0 {
            Repr::Reserved(reserved) if reserved.is_waited_for(now) => {
                (reserved.tat.read_reserved(gcra), false)
            }
            Repr::Tat(_) | Repr::Reserved(_) => self.tat().read(gcra, at),
            Repr::Fresh | Repr::Log(_) | Repr::Window(_) | Repr::Owing(_) => (0, false),
        }
    }

    /// The TAT of a bucket.
    pub(super) fn tat(&self) -> Tat {
        match &self.0 {
            Repr::Tat(tat) => *tat,
            Repr::Reserved(reserved) => reserved.tat,
            Repr::Fresh | Repr::Log(_) | Repr::Window(_) | Repr::Owing(_) => Tat::default(),
        }
    }

    /// The counters of a window, as they were stored.
    pub(super) fn window_under(&self, rule: &Window) -> OwingWindow {
        match &self.0 {
            Repr::Window(state) => OwingWindow::of(*state, rule),
            Repr::Owing(owing) => **owing,
            Repr::Fresh | Repr::Log(_) | Repr::Tat(_) | Repr::Reserved(_) => {
                OwingWindow::of(WindowState::default(), rule)
            }
        }
    }

    pub(super) fn set_window(&mut self, state: OwingWindow) {
        self.0 = match state.debt {
            0 => Repr::Window(state.window),
            _ => Repr::Owing(Box::new(state)),
        };
    }

    pub(super) fn set_instant(&mut self, gcra: &Gcra<u128>, now: u64, ticks: u128) {
        self.store_instant(gcra.den(), now, ticks, gcra.full());
    }

    /// Stores a TAT. Callers wait for their slots if more than `full` is owed.
    pub(super) fn store_instant(&mut self, den: u64, now: u64, ticks: u128, full: u128) {
        let tat = Tat::new(ticks, den);
        let at = u128::from(now) * u128::from(den);
        self.0 = match ticks > at.saturating_add(full) {
            true => Repr::Reserved(Box::new(Reserved {
                tat,
                stored: now,
                full,
            })),
            false => Repr::Tat(tat),
        };
    }

    /// The TAT of a bucket in ticks of 1/`den` nanosecond; 0 for a key never seen.
    pub(in crate::algorithms) fn instant(&self, den: u64) -> Option<u128> {
        match &self.0 {
            Repr::Fresh => Some(0),
            Repr::Tat(tat) if tat.den == den => Some(tat.ticks()),
            _ => None,
        }
    }

    pub(in crate::algorithms) const fn at_instant(ticks: u128, den: u64) -> Self {
        Self(Repr::Tat(Tat::new(ticks, den)))
    }

    /// A bucket that a store has kept: its instant lies `ahead` ticks after `now`.
    #[cfg(feature = "redis")]
    pub(crate) fn bucket(plan: &Plan, now: u64, ahead: u128) -> Self {
        let mut state = Self::default();
        if let Rule::Gcra(gcra) = &plan.rule() {
            let now_in_ticks = u128::from(now) * u128::from(gcra.den());
            state.set_instant(gcra, now, now_in_ticks.saturating_add(ahead));
        }
        state
    }

    /// The counters of a window that has been opened.
    pub(crate) const fn window(&self) -> Option<WindowState> {
        match &self.0 {
            Repr::Window(state) => Some(*state),
            Repr::Fresh | Repr::Log(_) | Repr::Tat(_) | Repr::Reserved(..) | Repr::Owing(_) => None,
        }
    }

    pub(crate) const fn of_window(state: WindowState) -> Self {
        Self(Repr::Window(state))
    }

    /// A window that may owe units.
    #[cfg(feature = "redis")]
    pub(crate) fn of_owing_window(state: OwingWindow) -> Self {
        let mut of = Self::default();
        of.set_window(state);
        of
    }
}
