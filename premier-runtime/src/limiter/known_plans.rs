//! The plans of the limits of a name. Equal limits share them: there may be a limit for each of many tenants, and
//! most tenants have one of a few.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use crate::algorithms::Plan;
use crate::error::Error;
use crate::limit::decision::Reservation;
use crate::limit::quota::Limit;
use crate::sync::lock_std;

/// How many plans are remembered.
const MAX_KNOWN: usize = 16;

/// The plans that were used last, the latest first.
static KNOWN: Mutex<VecDeque<Weak<[Plan]>>> = Mutex::new(VecDeque::new());

/// The plans of the limits of a name.
///
/// # Errors
/// [`Error::Config`] when a limit is invalid, there is none, or they cannot be decided as one.
pub(crate) fn plans(name: &str, limits: &[Limit]) -> Result<Arc<[Plan]>, Error> {
    let plans = plans_of(limits)?;
    let Some(first) = plans.first() else {
        return Err(Error::config(format!("{name} has no limit")));
    };
    if plans.len() > 1 && limits.iter().any(|limit| limit.stated_lease().is_some()) {
        return Err(Error::config(format!(
            "{name} has {} limits: a lease is for one limit that decides alone",
            plans.len()
        )));
    }
    if plans.len() > Reservation::LIMITS && first.is_queue() {
        return Err(Error::config(format!(
            "{name} has {} limits: at most {} leaky buckets can be decided as one",
            plans.len(),
            Reservation::LIMITS
        )));
    }
    Ok(plans)
}

/// The plans of `limits`, shared with other names that have equal limits.
///
/// # Errors
/// [`Error::Config`] when a limit is invalid.
fn plans_of(limits: &[Limit]) -> Result<Arc<[Plan]>, Error> {
    let mut known = lock_std(&KNOWN);
    let equal = known.iter().enumerate().find_map(|(index, plans)| {
        let plans = plans.upgrade()?;
        let is_equal = plans.iter().map(Plan::limit).eq(limits);
        is_equal.then_some((index, plans))
    });
    if let Some((index, plans)) = equal {
        known.swap(0, index);
        return Ok(plans);
    }
    let plans: Arc<[Plan]> = limits
        .iter()
        .copied()
        .map(Plan::new)
        .collect::<Result<_, _>>()?;
    known.truncate(MAX_KNOWN - 1);
    known.push_front(Arc::downgrade(&plans));
    Ok(plans)
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn equal_limits_share_their_plans() {
        let limit = |quota| Limit::token_bucket(quota, Duration::from_secs(77));
        let one = plans_of(&[limit(1), limit(2)]).unwrap();
        let others: Vec<_> = (1..MAX_KNOWN as u64 / 2)
            .map(|quota| plans_of(&[limit(quota)]).unwrap())
            .collect();
        assert!(Arc::ptr_eq(&one, &plans_of(&[limit(1), limit(2)]).unwrap()));
        assert!(others.iter().all(|other| **other != *one));
        assert!(plans_of(&[limit(0)]).is_err());
    }
}
