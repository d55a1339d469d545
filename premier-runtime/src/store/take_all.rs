//! Taking from several keys: from all, or from none.

use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::request::Operation;

/// Asks for each decision first, and takes in turn if all are admissions. The units taken are released if another
/// call came between and one of the keys denies after all. `ask` carries out an operation on the key with this
/// index, and `cost` returns the cost of a call for it.
///
/// # Errors
/// An error with the index of the key that caused it. Nothing is taken then.
pub(crate) fn take_in_turn(
    decisions: &mut [Decision],
    cost: impl Fn(usize) -> u64,
    ask: impl Fn(usize, Operation) -> Result<Decision, Error>,
    release: impl Fn(usize, &Decision),
) -> Result<(), (usize, Error)> {
    for (index, decision) in decisions.iter_mut().enumerate() {
        *decision = ask(index, Operation::Peek(cost(index))).map_err(|error| (index, error))?;
    }
    if !decisions.iter().all(|decision| decision.allowed) {
        return Ok(());
    }
    for index in 0..decisions.len() {
        let taken = ask(index, Operation::Take(cost(index)));
        if !matches!(&taken, Ok(decision) if decision.allowed) {
            for (earlier, decision) in decisions[..index].iter().enumerate() {
                release(earlier, decision);
            }
        }
        decisions[index] = taken.map_err(|error| (index, error))?;
        if !decisions[index].allowed {
            return Ok(());
        }
    }
    Ok(())
}
