//! An exact model of limits whose calls are settled, which shares nothing with premier.
//!
//! A bucket is its level, in units times the period; windows move on one by one; a log is the list of the instants
//! of its units. The model finds the time of admission by trying instants.

use std::collections::VecDeque;

use premier::{Algo, Limit};

/// The state of one key.
#[derive(Clone, Debug)]
pub struct Model {
    algo: Algo,
    quota: i128,
    /// In nanoseconds.
    period: i128,
    capacity: i128,
    max_debt: i128,
    now: i128,
    /// Of a bucket: what it holds, times the period. Negative where units are owed.
    level: i128,
    /// Of a window: its start, if it is open.
    start: Option<i128>,
    used: i128,
    before: i128,
    debt: i128,
    /// Of a log: when each unit was taken.
    units: VecDeque<i128>,
}

impl Model {
    /// A key never seen. `max_debt` is one capacity if it is not given.
    #[must_use]
    pub fn new(limit: &Limit, max_debt: Option<u64>) -> Self {
        let capacity = i128::from(limit.capacity());
        let period = i128::try_from(limit.period().as_nanos()).unwrap();
        Self {
            algo: limit.algo(),
            quota: limit.quota().into(),
            period,
            capacity,
            max_debt: max_debt.map_or(capacity, Into::into),
            now: 0,
            level: capacity * period,
            start: None,
            used: 0,
            before: 0,
            debt: 0,
            units: VecDeque::new(),
        }
    }

    /// Moves on to this time in nanoseconds.
    pub fn advance(&mut self, to: i128) {
        let passed = to - self.now;
        self.now = to;
        let full = self.capacity * self.period;
        self.level = full.min(self.level + passed * self.quota);
        while self.units.front().is_some_and(|at| to - at >= self.period) {
            self.units.pop_front();
        }
        while let Some(start) = self.start
            && to - start >= self.period
        {
            self.before = if self.algo == Algo::SlidingWindow {
                self.used
            } else {
                0
            };
            self.used = self.debt.min(self.quota);
            self.debt -= self.used;
            let is_open = self.used > 0 || self.before > 0;
            self.start = is_open.then_some(start + self.period);
        }
    }

    /// How many units could be taken now; negative where there are too many.
    fn left(&self) -> i128 {
        match self.algo {
            Algo::TokenBucket | Algo::LeakyBucket => self.level.div_euclid(self.period),
            Algo::SlidingLog => self.quota - self.units.len() as i128,
            _ => {
                let elapsed = self.start.map_or(0, |start| self.now - start);
                let faded = self.before * (self.period - elapsed) / self.period;
                self.quota - faded - self.used - self.debt
            }
        }
    }

    /// How many units could be taken now.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.left().max(0) as u64
    }

    /// Whether a call of this cost is admitted now.
    #[must_use]
    pub fn admits(&self, cost: u64) -> bool {
        cost == 0 || i128::from(cost) <= self.left()
    }

    /// How many nanoseconds a call that is admitted now waits for its slot.
    #[must_use]
    pub fn wait(&self, cost: u64) -> u64 {
        let missing = self.capacity * self.period - self.level;
        match self.algo {
            Algo::LeakyBucket if cost > 0 => {
                (missing + self.quota - 1).div_euclid(self.quota) as u64
            }
            _ => 0,
        }
    }

    /// After how many nanoseconds a call is admitted.
    #[must_use]
    pub fn retry_after(&self, cost: u64) -> u64 {
        let admits_after = |time: i128| {
            let mut later = self.clone();
            later.advance(self.now + time);
            later.admits(cost)
        };
        let (mut early, mut late) = (-1, 1);
        while !admits_after(late) {
            (early, late) = (late, 2 * late);
        }
        while late - early > 1 {
            let middle = early + (late - early) / 2;
            match middle < 0 || !admits_after(middle) {
                true => early = middle,
                false => late = middle,
            }
        }
        late as u64
    }

    /// Takes units that are admitted.
    pub fn take(&mut self, cost: u64) {
        self.add(cost.into());
    }

    /// Takes units whether or not they are admitted.
    pub fn charge(&mut self, units: u64) {
        let units = i128::from(units);
        let most = match self.algo {
            Algo::TokenBucket | Algo::LeakyBucket => {
                let lowest = self.level.min(-self.max_debt * self.period);
                self.level = lowest.max(self.level - units * self.period);
                return;
            }
            Algo::SlidingLog => self.quota + self.max_debt - self.units.len() as i128,
            _ => self.quota + self.max_debt - self.used - self.debt,
        };
        self.add(units.min(most).max(0));
    }

    fn add(&mut self, units: i128) {
        match self.algo {
            _ if units == 0 => {}
            Algo::TokenBucket | Algo::LeakyBucket => self.level -= units * self.period,
            Algo::SlidingLog => self.units.extend((0..units).map(|_| self.now)),
            _ => {
                self.start.get_or_insert(self.now);
                let fits = units.min(self.quota - self.used);
                self.used += fits;
                self.debt += units - fits;
            }
        }
    }

    /// Gives back units that were taken at this instant.
    pub fn give_back(&mut self, units: u64) {
        for _ in 0..units {
            match self.algo {
                Algo::TokenBucket | Algo::LeakyBucket => self.level += self.period,
                Algo::SlidingLog => drop(self.units.pop_back()),
                _ if self.debt > 0 => self.debt -= 1,
                _ => self.used -= 1,
            }
        }
        if self.used == 0 && self.before == 0 {
            self.start = None;
        }
    }
}
