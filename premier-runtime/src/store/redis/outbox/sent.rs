//! Calls that have left together, until they have their answers.

use std::iter::repeat_with;
use std::sync::{Arc, Mutex};

use redis::Value;

use super::{Callers, Outbox, Queues};
use crate::store::redis::answer::Caller;
use crate::store::redis::check::Check;
use crate::store::redis::failure::describe;
use crate::store::redis::kind::Kind;
use crate::store::redis::lean::{Answered, Batch};
use crate::store::redis::script;
use crate::sync::lock_std;

/// The callers of calls that have left together.
pub(super) struct Sent {
    outbox: Arc<Outbox>,
    /// `None` for a call that has left alone.
    kind: Option<Kind>,
    callers: Callers,
    number: usize,
}

impl Sent {
    pub(super) fn new(
        outbox: &Arc<Outbox>,
        queues: &mut Queues,
        kind: Option<Kind>,
        callers: Vec<Caller>,
    ) -> Self {
        let callers = Arc::new(Mutex::new(callers));
        if let Some(kind) = kind {
            queues.together[kind as usize].in_flight += 1;
        }
        Self {
            outbox: Arc::clone(outbox),
            kind,
            number: queues.sent.insert(Arc::clone(&callers)),
            callers,
        }
    }

    /// Lets a lean script decide calls.
    #[expect(
        clippy::vec_box,
        reason = "a check is large, and moves from place to place"
    )]
    pub(super) async fn together(self, kind: Kind, checks: Vec<Box<Check>>) {
        let mut batch = Batch::new(kind);
        let key = checks.first().and_then(|check| check.keys.first());
        let reply = self
            .outbox
            .link
            .run(key.map(String::as_str), async |session| {
                // Read once there is a connection, because callers may have gone meanwhile.
                for (check, caller) in checks.iter().zip(&*lock_std(&self.callers)) {
                    match caller.is_gone() {
                        true => batch.skip(),
                        false => batch.push(check),
                    }
                }
                match batch.is_empty() {
                    true => Ok(Value::Nil),
                    false => {
                        session
                            .eval(kind.script(), |command| batch.write(command))
                            .await
                    }
                }
            });
        let decided = match reply.await {
            Ok(Value::Nil) => return,
            Ok(reply) => batch.read(reply).map_err(describe),
            Err(failure) => Err(failure),
        };
        let decided = decided.map(|calls| {
            // Calls whose caller has gone, and calls that could not join the batch, have no decisions.
            calls.into_iter().chain(repeat_with(|| None))
        });
        let (mut decided, failure) = match decided {
            Ok(decided) => (Some(decided), None),
            Err(failure) => (None, Some(failure)),
        };
        let callers = std::mem::take(&mut *lock_std(&self.callers));
        for (check, caller) in checks.into_iter().zip(callers) {
            match decided.as_mut().and_then(Iterator::next).flatten() {
                answered if check.fetch.is_some() => self.outbox.fetched(&check, answered),
                Some(Answered {
                    decisions, state, ..
                }) => {
                    self.outbox.deliver(caller, check, decisions, state);
                }
                None if caller.is_gone() => {}
                None => match &failure {
                    Some(failure) => caller.answer(Err(failure.clone())),
                    None => self.outbox.push_alone(check, caller),
                },
            }
        }
    }

    /// Lets the script that knows all limits and operations decide a call.
    pub(super) async fn alone(self, check: Box<Check>) {
        let key = check.keys.first().map(String::as_str);
        let reply = self.outbox.link.run(key, async |session| {
            if lock_std(&self.callers).iter().all(Caller::is_gone) {
                return Ok(Value::Nil);
            }
            session
                .eval(script::script(&check), |command| {
                    script::write(&check, command);
                })
                .await
        });
        let decided = match reply.await {
            Ok(Value::Nil) => return,
            Ok(reply) => script::read(&check, reply).map_err(describe),
            Err(failure) => Err(failure),
        };
        // Again, because a call that came meanwhile may have been denied before this call was decided.
        self.outbox.invalidate_changed(&check);
        let caller = lock_std(&self.callers).pop();
        match (caller, decided) {
            // No caller waits for the decisions.
            (None | Some(Caller::Nobody), _) => {}
            (Some(caller), Ok(decisions)) => {
                self.outbox.deliver(caller, check, decisions, None);
            }
            (Some(caller), Err(failure)) => caller.answer(Err(failure)),
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut queues = lock_std(&self.outbox.queues);
        queues.sent.remove(self.number);
        if let Some(kind) = self.kind {
            queues.together[kind as usize].in_flight -= 1;
        }
        drop(queues);
        self.outbox.ready.notify_one();
    }
}
