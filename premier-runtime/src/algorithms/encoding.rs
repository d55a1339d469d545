//! States as bytes, for stores of opaque values.
//! The format is in the documentation of [`State::to_bytes`].

use super::owing_window::OwingWindow;
use super::sliding_log::LogState;
use super::state::{Repr, State};
use super::tat::{Reserved, Tat};
use super::window::WindowState;
use crate::error::Error;

/// The only version of the format so far. A later version must read the states of earlier ones.
const VERSION: u8 = 1;

/// Counts of units stay below this, so that sums do not overflow. No limit admits more.
const MAX_UNITS: u64 = 1 << 62;

const FRESH: u8 = 0;
const BUCKET: u8 = 1;
const RESERVED_BUCKET: u8 = 2;
const WINDOW: u8 = 3;
const LOG: u8 = 4;
const OWING_WINDOW: u8 = 5;

impl State {
    /// Returns the state as bytes, which [`State::from_bytes`] reads.
    ///
    /// The format is stable: later versions of premier read what this version writes. Two states are equal
    /// if their bytes are, so a store may compare them to find out whether a key has changed.
    ///
    /// [`Request::encode`](crate::Request::encode) writes the states of several limits as one value.
    ///
    /// The first byte is the version, 1. The second says what follows, in big-endian numbers:
    ///
    /// | second byte | state | what follows |
    /// | --- | --- | --- |
    /// | 0 | of a key never seen | |
    /// | 1 | of a token or leaky bucket | its theoretical arrival time in ticks (16 bytes), ticks of a nanosecond (8) |
    /// | 2 | of a bucket that callers wait for | as 1, then the time of the last change (8), its full debt in ticks (16) |
    /// | 3 | of a window | whether it slides (1), its start, units in it, units in the one before (8 each) |
    /// | 4 | of a sliding log | number of entries (4), of each its time and its units (8 each) |
    /// | 5 | of a window that owes units | as 3, then the units in it that are owed, how many of them a window pays (8 each) |
    ///
    /// Times are in nanoseconds, as passed to [`State::take`].
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::algorithms::{Plan, State};
    /// use std::time::Duration;
    ///
    /// let plan = Plan::new(Limit::token_bucket(2, Duration::from_secs(1)))?;
    /// let mut state = State::default();
    /// assert!(state.take(&plan, 0, 2).allowed);
    ///
    /// let mut read = State::from_bytes(&state.to_bytes())?;
    /// assert_eq!(read, state);
    /// assert!(!read.take(&plan, 1, 1).allowed);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(std::slice::from_ref(self))
    }

    /// Reads a state that [`State::to_bytes`] has written, in this or an earlier version of premier.
    ///
    /// # Errors
    /// [`Error::Backend`] when the bytes are no state, or were written by a version of premier that is newer
    /// and has another format.
    ///
    /// ```
    /// use premier::algorithms::State;
    ///
    /// assert!(State::from_bytes(b"something else").is_err());
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        match <[Self; 1]>::try_from(decode(bytes)?) {
            Ok([state]) => Ok(state),
            Err(states) => Err(unreadable(&format!(
                "it has {} states instead of one",
                states.len()
            ))),
        }
    }
}

/// Writes the states of one key.
pub(crate) fn encode(states: &[State]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for state in states {
        write(&mut bytes, state);
    }
    bytes
}

/// Reads the states of one key.
///
/// # Errors
/// [`Error::Backend`] when `encode` has not written them.
pub(crate) fn decode(mut bytes: &[u8]) -> Result<Vec<State>, Error> {
    let [version] = take(&mut bytes)?;
    if version != VERSION {
        return Err(unreadable(&format!("its format {version} is unknown")));
    }
    let mut states = Vec::with_capacity(1);
    while !bytes.is_empty() {
        states.push(read(&mut bytes)?);
    }
    Ok(states)
}

fn write(bytes: &mut Vec<u8>, state: &State) {
    match &state.0 {
        Repr::Fresh => bytes.push(FRESH),
        Repr::Tat(tat) => {
            bytes.push(BUCKET);
            write_tat(bytes, tat);
        }
        Repr::Reserved(reserved) => {
            bytes.push(RESERVED_BUCKET);
            write_tat(bytes, &reserved.tat);
            bytes.extend(reserved.stored.to_be_bytes());
            bytes.extend(reserved.full.to_be_bytes());
        }
        Repr::Window(window) => {
            bytes.push(WINDOW);
            write_window(bytes, window);
        }
        Repr::Owing(owing) => {
            bytes.push(OWING_WINDOW);
            write_window(bytes, &owing.window);
            bytes.extend(owing.debt.to_be_bytes());
            bytes.extend(owing.quota.to_be_bytes());
        }
        Repr::Log(log) => {
            let entries = log.entries();
            bytes.push(LOG);
            // A log has at most as many entries as units, which are at most 100,000.
            bytes.extend((entries.len() as u32).to_be_bytes());
            for (instant, units) in entries {
                bytes.extend(instant.to_be_bytes());
                bytes.extend(units.to_be_bytes());
            }
        }
    }
}

fn write_tat(bytes: &mut Vec<u8>, tat: &Tat) {
    bytes.extend(tat.ticks().to_be_bytes());
    bytes.extend(tat.den.to_be_bytes());
}

fn write_window(bytes: &mut Vec<u8>, window: &WindowState) {
    bytes.push(u8::from(window.slides));
    for number in [window.start, window.cur, window.prev] {
        bytes.extend(number.to_be_bytes());
    }
}

fn read(bytes: &mut &[u8]) -> Result<State, Error> {
    let [kind] = take(bytes)?;
    let state = match kind {
        FRESH => Repr::Fresh,
        BUCKET => Repr::Tat(read_tat(bytes)?),
        RESERVED_BUCKET => Repr::Reserved(Box::new(Reserved {
            tat: read_tat(bytes)?,
            stored: read_number(bytes)?,
            full: u128::from_be_bytes(take(bytes)?),
        })),
        WINDOW => Repr::Window(read_window(bytes)?),
        OWING_WINDOW => {
            let window = read_window(bytes)?;
            let (debt, quota) = (read_units(bytes)?, read_units(bytes)?);
            if debt > window.cur || quota == 0 {
                return Err(unreadable("a window owes more than it counts, or for ever"));
            }
            Repr::Owing(Box::new(OwingWindow {
                window,
                debt,
                quota,
            }))
        }
        LOG => {
            let count = u32::from_be_bytes(take(bytes)?);
            let mut log = LogState::default();
            for _ in 0..count {
                let (instant, units) = (read_number(bytes)?, read_units(bytes)?);
                let sum = log.used().saturating_add(units);
                if !log.can_append(instant) || units == 0 || sum > MAX_UNITS {
                    return Err(unreadable("the entries of a log are out of order"));
                }
                log.push(instant, units);
            }
            match log.is_empty() {
                true => Repr::Fresh,
                false => Repr::Log(Box::new(log)),
            }
        }
        other => return Err(unreadable(&format!("there is no state of kind {other}"))),
    };
    Ok(State(state))
}

fn read_window(bytes: &mut &[u8]) -> Result<WindowState, Error> {
    let [slides] = take(bytes)?;
    if slides > 1 {
        return Err(unreadable("a window neither slides nor is fixed"));
    }
    Ok(WindowState {
        slides: slides == 1,
        start: read_number(bytes)?,
        cur: read_units(bytes)?,
        prev: read_units(bytes)?,
    })
}

fn read_tat(bytes: &mut &[u8]) -> Result<Tat, Error> {
    let tat = Tat::new(u128::from_be_bytes(take(bytes)?), read_number(bytes)?);
    match tat.den {
        0 => Err(unreadable("a nanosecond has no ticks")),
        _ => Ok(tat),
    }
}

fn read_units(bytes: &mut &[u8]) -> Result<u64, Error> {
    match read_number(bytes)? {
        units if units <= MAX_UNITS => Ok(units),
        units => Err(unreadable(&format!("{units} units are too many"))),
    }
}

fn read_number(bytes: &mut &[u8]) -> Result<u64, Error> {
    take(bytes).map(u64::from_be_bytes)
}

/// Takes the next bytes.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Error> {
    let (taken, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| unreadable("it is cut off"))?;
    *bytes = rest;
    Ok(*taken)
}

fn unreadable(reason: &str) -> Error {
    Error::backend(
        "the store",
        format!("the stored state cannot be read: {reason}"),
    )
}
