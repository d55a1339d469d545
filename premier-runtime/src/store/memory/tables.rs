//! The tables of a memory handler by key prefix, and the removal of tables that no limit uses any more.
//!
//! A table that the last limit of its prefix has left is examined from time to time, and dropped once its keys owe
//! nothing: a limit of this prefix would find only fresh states in it. Tables are examined when limits are bound
//! and dropped, because only these add tables, and never during a decision.
//!
//! The time between two examinations of a table doubles, so each is examined a few dozen times at most, even if its
//! keys owe for years. Tables in use are not examined.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::key_count::KeyCount;
use super::table::Table;
use crate::algorithms::Plan;
use crate::clock::SteadyClock;

/// How long after its last limit was dropped a table is first examined, in nanoseconds for each of its keys.
/// Examining a key takes a thousandth of that, so it costs little even where limits come and go all the time.
const DELAY: u64 = 10_000;

/// The capacity that collections keep. A larger one is freed once three quarters are empty.
const KEPT: usize = 64;

/// How many tables are examined under the lock at once.
const BATCH: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Tables {
    slots: HashMap<Arc<str>, Slot>,
    /// The tables to examine, the next one on top.
    examinations: BinaryHeap<Examination>,
}

#[derive(Debug)]
struct Slot {
    table: Arc<Table>,
    /// How many limits and running requests use the table.
    users: u32,
    /// Whether there is an examination of it.
    is_examined: bool,
}

#[derive(Debug)]
struct Examination {
    /// In nanoseconds of the handler's clock.
    at: u64,
    delay: u64,
    prefix: Arc<str>,
}

impl Tables {
    /// Adds a user of the table of all keys with this prefix, which is created if needed.
    pub(super) fn bind(
        &mut self,
        prefix: &str,
        plans: &[Plan],
        clock: &SteadyClock,
        keys: &Arc<KeyCount>,
    ) -> (Arc<str>, Arc<Table>) {
        let prefix = match self.slots.get_key_value(prefix) {
            Some((prefix, _)) => Arc::clone(prefix),
            None => prefix.into(),
        };
        let slot = self
            .slots
            .entry(Arc::clone(&prefix))
            .or_insert_with(|| Slot {
                table: Arc::new(Table::new(plans, clock, keys)),
                users: 0,
                is_examined: false,
            });
        slot.users += 1;
        // Under the lock of the tables, so that the periods are known when a table is examined.
        slot.table.register(plans);
        (prefix, Arc::clone(&slot.table))
    }

    /// Removes a user of the table of a prefix.
    pub(super) fn unbind(&mut self, prefix: &Arc<str>, now: u64) {
        let Some(slot) = self.slots.get_mut(prefix) else {
            return;
        };
        slot.users -= 1;
        if slot.users > 0 || slot.is_examined {
            return;
        }
        slot.is_examined = true;
        let delay = DELAY.saturating_mul(1 + slot.table.keys().get() as u64);
        self.examinations.push(Examination {
            at: now.saturating_add(delay),
            delay,
            prefix: Arc::clone(prefix),
        });
    }

    /// Examines some of the tables that are due, and removes tables that no limit uses and that owe nothing.
    /// Returns the examined tables, to be dropped without the lock; `None` if none was due.
    pub(super) fn examine(&mut self, now: u64) -> Option<Vec<Arc<Table>>> {
        let mut examined = None;
        for _ in 0..BATCH {
            // At the last instant that a clock can show, the next examination is never due.
            if self.examinations.peek().is_none_or(|next| next.at >= now) {
                break;
            }
            let examined: &mut Vec<_> = examined.get_or_insert_default();
            if let Some(examination) = self.examinations.pop() {
                examined.extend(self.examine_one(examination, now));
            }
        }
        self.shrink();
        examined
    }

    fn examine_one(&mut self, examination: Examination, now: u64) -> Option<Arc<Table>> {
        let slot = self.slots.get_mut(&examination.prefix)?;
        if slot.users > 0 {
            slot.is_examined = false;
            return None;
        }
        let table = Arc::clone(&slot.table);
        if table.remove_idle(now) {
            return Some(self.slots.remove(&examination.prefix)?.table);
        }
        let delay = examination.delay.saturating_mul(2);
        self.examinations.push(Examination {
            at: now.saturating_add(delay),
            delay,
            ..examination
        });
        Some(table)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Arc<Table>)> {
        let slots = self.slots.iter();
        slots.map(|(prefix, slot)| (&**prefix, &slot.table))
    }

    fn shrink(&mut self) {
        let (slots, examinations) = (&mut self.slots, &mut self.examinations);
        if slots.capacity() > KEPT && slots.len() < slots.capacity() / 4 {
            slots.shrink_to(KEPT.max(slots.len() * 2));
        }
        if examinations.capacity() > KEPT && examinations.len() < examinations.capacity() / 4 {
            examinations.shrink_to(KEPT.max(examinations.len() * 2));
        }
    }
}

/// The next one is the greatest.
impl Ord for Examination {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Examination {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Examination {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Examination {}
