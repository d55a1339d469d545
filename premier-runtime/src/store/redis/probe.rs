//! Finding out when a server, or one master of a cluster, is back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis::{RedisError, Value};
use tokio::time::{sleep, timeout};

use super::link::{FIRST_PAUSE, Failure, LONGEST_PAUSE, Link, lock};
use super::target::Connection;

/// Slots of a cluster whose master does not answer.
pub(super) struct RangeDown {
    id: u64,
    first: u16,
    last: u16,
    reason: Failure,
}

impl Link {
    pub(super) fn reason_of(&self, slot: u16) -> Option<Failure> {
        lock(&self.ranges_down)
            .iter()
            .find(|range| (range.first..=range.last).contains(&slot))
            .map(|range| Arc::clone(&range.reason))
    }

    /// Marks a slot as down, then all that its master has, and probes until it answers.
    pub(super) fn range_lost(self: &Arc<Self>, slot: u16, key: &str, reason: &Failure) {
        let id = self.last_range.fetch_add(1, Ordering::Relaxed);
        {
            let mut down = lock(&self.ranges_down);
            if down
                .iter()
                .any(|range| (range.first..=range.last).contains(&slot))
            {
                return;
            }
            down.push(RangeDown {
                id,
                first: slot,
                last: slot,
                reason: Arc::clone(reason),
            });
        }
        let (link, key, reason) = (Arc::clone(self), key.to_owned(), Arc::clone(reason));
        tokio::spawn(async move {
            let master = timeout(link.timeout, link.master_of(slot)).await;
            if let Ok(Some((first, last))) = master {
                let mut down = lock(&link.ranges_down);
                let known = down
                    .iter()
                    .any(|range| range.id != id && (range.first, range.last) == (first, last));
                if known {
                    down.retain(|range| range.id != id);
                    return;
                }
                for range in down.iter_mut().filter(|range| range.id == id) {
                    (range.first, range.last) = (first, last);
                }
            }
            link.tell_down(&reason);
            link.probe_range(&key).await;
            lock(&link.ranges_down).retain(|range| range.id != id);
            link.tell_back();
        });
    }

    async fn probe_range(self: &Arc<Self>, key: &str) {
        let mut pause = FIRST_PAUSE;
        loop {
            let answered = timeout(self.timeout, async {
                let (mut connection, _) = self.connection().await.ok()?;
                probe(&mut connection, key).await.ok()
            })
            .await;
            if let Ok(Some(())) = answered {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The slots that have one master with this one, and so one fate.
    async fn master_of(&self, slot: u16) -> Option<(u16, u16)> {
        let (mut connection, _) = self.connection().await.ok()?;
        let ranges: Vec<Vec<Value>> = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut connection)
            .await
            .ok()?;
        ranges.iter().find_map(|range| match range.as_slice() {
            [Value::Int(first), Value::Int(last), ..] => {
                let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
                (first..=last).contains(&slot).then_some((first, last))
            }
            _ => None,
        })
    }
}

/// Whether the server takes what calls write: one that only answers a `PING` may be a replica by
/// now, out of memory or paused. Nothing is changed.
pub(super) async fn probe(connection: &mut Connection, key: &str) -> Result<(), RedisError> {
    // Writes no byte to a string, fails on a list for its type, and is refused where writes are.
    const WRITE: &str = "local r = redis.pcall('SETRANGE', KEYS[1], 0, '') \
        if type(r) == 'table' and r.err and not string.find(r.err, 'WRONGTYPE') then return r end \
        return 1";
    let refused = redis::cmd("EVAL")
        .arg(WRITE)
        .arg(1)
        .arg(key)
        .exec_async(connection)
        .await;
    match refused {
        // A user that may not do this may still do what calls do.
        Err(error) if error.code() == Some("NOPERM") => Ok(()),
        result => result,
    }
}
