//! Sends the calls of an outbox, on the driver's runtime.

use std::sync::Arc;

use tokio::time::timeout;

use super::sent::Sent;
use super::{LONGEST_WAIT, Outbox};
use crate::clock::real_now;
use crate::store::redis::answer::Caller;
use crate::store::redis::check::Check;
use crate::store::redis::keys;
use crate::store::redis::kind::{Kind, MAX_CALLS};
use crate::sync::lock_std;

impl Outbox {
    /// Sends calls as they come, on the driver's runtime.
    pub(in crate::store::redis) async fn run(self: Arc<Self>) {
        loop {
            match self.send_all() {
                // After this time, the calls that wait leave.
                true => drop(timeout(LONGEST_WAIT, self.ready.notified()).await),
                false => self.ready.notified().await,
            }
        }
    }

    /// Sends the calls that need not wait. Returns whether other calls wait.
    fn send_all(self: &Arc<Self>) -> bool {
        let mut queues = lock_std(&self.queues);
        if !queues.has_sweeper && self.leases.are_used() {
            queues.has_sweeper = true;
            tokio::spawn(Arc::clone(self).sweep());
        }
        for (check, caller) in std::mem::take(&mut queues.alone) {
            let sent = Sent::new(self, &mut queues, None, vec![caller]);
            tokio::spawn(sent.alone(check));
        }
        for kind in Kind::ALL {
            while queues.together[kind as usize].can_leave() {
                let queue = &mut queues.together[kind as usize];
                let last = queue.waiting.len().min(MAX_CALLS);
                let leaving = queue.waiting.drain(..last).collect();
                queue.left = real_now();
                for together in self.by_slot(leaving) {
                    let (checks, callers) = together.into_iter().unzip();
                    let sent = Sent::new(self, &mut queues, Some(kind), callers);
                    tokio::spawn(sent.together(kind, checks));
                }
            }
        }
        let mut queues = queues.together.iter();
        queues.any(|queue| !queue.waiting.is_empty())
    }

    /// Groups calls that one script can decide: calls whose keys are in one slot of a cluster.
    fn by_slot(&self, mut checks: Vec<(Box<Check>, Caller)>) -> Vec<Vec<(Box<Check>, Caller)>> {
        if !self.link.target.is_cluster() {
            return vec![checks];
        }
        let slot =
            |(check, _): &(Box<Check>, Caller)| check.keys.first().map(|key| keys::slot(key));
        checks.sort_by_cached_key(slot);
        let mut groups: Vec<Vec<(Box<Check>, Caller)>> = Vec::new();
        for check in checks {
            match groups.last_mut() {
                Some(group) if group.first().and_then(slot) == slot(&check) => group.push(check),
                _ => groups.push(vec![check]),
            }
        }
        groups
    }
}
