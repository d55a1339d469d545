//! Plans of equal limits, which share their memory. There may be a limit for each of many tenants, most of which
//! have one of a few.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::algorithms::Plan;
use crate::error::Error;
use crate::limit::quota::Limit;

/// How many are known.
const MOST: usize = 16;

/// Those used last, the latest first.
static KNOWN: Mutex<VecDeque<Weak<[Plan]>>> = Mutex::new(VecDeque::new());

/// The plans of these limits.
///
/// # Errors
/// [`Error::Config`] when one is invalid.
pub(super) fn plans_of(limits: &[Limit]) -> Result<Arc<[Plan]>, Error> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
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
    known.truncate(MOST - 1);
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
        let others: Vec<_> = (1..MOST as u64 / 2)
            .map(|quota| plans_of(&[limit(quota)]).unwrap())
            .collect();
        assert!(Arc::ptr_eq(&one, &plans_of(&[limit(1), limit(2)]).unwrap()));
        assert!(others.iter().all(|other| **other != *one));
        assert!(plans_of(&[limit(0)]).is_err());
    }
}
