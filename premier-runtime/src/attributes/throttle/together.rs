//! Several throttles on one function, which decide together.

use super::settlement::Settlement;
use super::{ThrottleArgs, ThrottlePolicy, ThrottleSite};
use crate::attributes::into_arg::Cost;
use crate::attributes::site::Instance;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::subject::IntoSubject;
use crate::limit::decision::Decision;
use crate::limiter::call::Call;
use crate::limiter::taken::Taken;
use crate::limiter::together::{acquire_all, acquire_all_async};

/// The part of a call that one of the throttles decides.
#[derive(Debug)]
pub struct ThrottlePart {
    policy: Result<&'static ThrottlePolicy, Error>,
    key: Option<KeyBuffer>,
    cost: u64,
}

impl ThrottleSite {
    /// Prepares a call that this throttle and others decide together.
    pub fn part<K: IntoSubject>(
        &'static self,
        instance: Instance<ThrottleArgs>,
        key: K,
        cost: impl Cost,
    ) -> ThrottlePart {
        let cost = cost.units();
        ThrottlePart {
            policy: self
                .bound(instance)
                .and_then(|policy| cost.as_ref().map(|_| policy).map_err(Error::clone)),
            key: key.with_text(|key| key.map(KeyBuffer::format)),
            cost: cost.unwrap_or_default(),
        }
    }
}

/// Admits or denies a call. Blocks the thread if the call waits.
///
/// # Errors
/// A throttle denies the call, or has an invalid argument: its number and the error.
pub fn enter_all<const N: usize>(parts: [ThrottlePart; N]) -> Result<(), (usize, Error)> {
    acquire_all(&bound(&parts)?, |_| ())
}

/// As [`enter_all`], without blocking the thread.
///
/// # Errors
/// As for [`enter_all`].
pub async fn enter_all_async<const N: usize>(
    parts: [ThrottlePart; N],
) -> Result<(), (usize, Error)> {
    acquire_all_async(&bound(&parts)?, |_| ()).await
}

/// As [`enter_all`], for calls that are settled.
///
/// # Errors
/// As for [`enter_all`].
pub fn enter_all_to_settle<const N: usize>(
    parts: [ThrottlePart; N],
) -> Result<[Settlement; N], (usize, Error)> {
    let decisions = acquire_all(&bound(&parts)?, |decisions| *decisions)?;
    Ok(settlements(parts, &decisions))
}

/// As [`enter_all_to_settle`], without blocking the thread.
///
/// # Errors
/// As for [`enter_all`].
pub async fn enter_all_to_settle_async<const N: usize>(
    parts: [ThrottlePart; N],
) -> Result<[Settlement; N], (usize, Error)> {
    let decisions = acquire_all_async(&bound(&parts)?, |decisions| *decisions).await?;
    Ok(settlements(parts, &decisions))
}

/// What the parts have taken by these decisions.
fn settlements<const N: usize>(
    parts: [ThrottlePart; N],
    decisions: &[Decision; N],
) -> [Settlement; N] {
    let mut decisions = decisions.iter();
    parts.map(|part| {
        let policy = part.policy.expect("all were checked");
        let decision = decisions.next().expect("there is one for each");
        let ThrottlePolicy {
            limiter, settling, ..
        } = policy;
        Settlement::new(Taken::new(
            limiter, part.key, part.cost, decision, *settling,
        ))
    })
}

fn bound<const N: usize>(parts: &[ThrottlePart; N]) -> Result<[Call<'_>; N], (usize, Error)> {
    for (index, part) in parts.iter().enumerate() {
        if let Err(error) = &part.policy {
            return Err((index, error.clone()));
        }
    }
    Ok(parts.each_ref().map(|part| {
        let policy = part.policy.as_ref().expect("all were checked");
        Call {
            limiter: &policy.limiter,
            key: part.key.as_ref().map(KeyBuffer::as_str),
            cost: part.cost,
            max_wait: policy.max_wait,
        }
    }))
}
