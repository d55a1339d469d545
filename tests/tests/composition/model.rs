//! The model: what each layer does by its documentation, in virtual milliseconds.

use premier::Error;

use super::{BODY, DELAY, Done, Failure, MAX, PERIOD, QUOTA, TIMEOUT, TTL, outcome};

/// The expected state of a function with these layers, first outermost.
pub(crate) struct Model {
    pub(crate) layers: &'static [&'static str],
    pub(crate) now: u64,
    pub(crate) done: Done,
    /// The start of the throttle's window and the units used in it.
    pub(crate) window: (u64, u64),
    pub(crate) cached: Option<(u32, u64)>,
    /// Whether a call is dropped at its deadline. A sync body continues, and the test waits until
    /// it ends.
    pub(crate) drops: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Modelled {
    Ok(u32),
    Flaky,
    /// Holds the time until the window ends.
    Denied(u64),
    TimedOut,
    /// Dropped by the timeout with this deadline.
    Cut(u64),
}

impl Model {
    /// Waits, or stops at the deadline if that comes first.
    fn wait(&mut self, length: u64, deadline: u64) -> Option<Modelled> {
        if self.now + length > deadline {
            self.now = deadline;
            return Some(Modelled::Cut(deadline));
        }
        self.now += length;
        None
    }

    pub(crate) fn call(&mut self, layer: usize, deadline: u64) -> Modelled {
        match self.layers.get(layer) {
            None => {
                self.done.calls += 1;
                let call = self.done.calls;
                if let Some(cut) = self.wait(BODY, deadline) {
                    return cut;
                }
                match outcome(call) {
                    Ok(value) => Modelled::Ok(value),
                    Err(_) => Modelled::Flaky,
                }
            }
            Some(&"cache") => {
                if let Some((value, until)) = self.cached
                    && self.now < until
                {
                    return Modelled::Ok(value);
                }
                let result = self.call(layer + 1, deadline);
                if let Modelled::Ok(value) = result {
                    self.cached = Some((value, self.now + TTL));
                }
                result
            }
            Some(&"retry") => {
                let mut attempt = 1;
                loop {
                    let result = self.call(layer + 1, deadline);
                    let hint = match result {
                        Modelled::Flaky => 0,
                        Modelled::Denied(hint) => hint,
                        _ => return result,
                    };
                    if attempt == MAX {
                        return result;
                    }
                    attempt += 1;
                    self.done.retries += 1;
                    if let Some(cut) = self.wait(DELAY.max(hint), deadline) {
                        return cut;
                    }
                }
            }
            Some(&"throttle") => {
                let (start, used) = self.window;
                if used == 0 || self.now >= start + PERIOD {
                    self.window = (self.now, 1);
                } else if used == QUOTA {
                    return Modelled::Denied(start + PERIOD - self.now);
                } else {
                    self.window.1 += 1;
                }
                self.call(layer + 1, deadline)
            }
            Some(&"timeout") => {
                let own = self.now + TIMEOUT;
                let inner = if self.drops { own } else { u64::MAX };
                let result = self.call(layer + 1, deadline.min(inner));
                if result == Modelled::Cut(own) || self.now > own {
                    return Modelled::TimedOut;
                }
                result
            }
            Some(other) => unreachable!("{other}"),
        }
    }

    pub(crate) fn remaining(&self) -> u64 {
        match self.window {
            (start, used) if self.now < start + PERIOD => QUOTA - used,
            _ => QUOTA,
        }
    }
}

pub(crate) fn as_modelled(result: &Result<u32, Failure>) -> Modelled {
    match result {
        Ok(value) => Modelled::Ok(*value),
        Err(Failure::Flaky) => Modelled::Flaky,
        Err(Failure::Premier(Error::Timeout { .. })) => Modelled::TimedOut,
        Err(Failure::Premier(error)) => {
            let after = error.retry_after().expect("a denial has a retry_after");
            Modelled::Denied(u64::try_from(after.as_millis()).expect("small"))
        }
    }
}
