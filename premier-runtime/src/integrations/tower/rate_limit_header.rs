//! The `RateLimit` and `RateLimit-Policy` headers.
//!
//! Written by [draft-ietf-httpapi-ratelimit-headers-11], as structured fields of RFC 9651.
//!
//! [draft-ietf-httpapi-ratelimit-headers-11]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/

use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{Entry, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::older_header::{DRAFT_06, RATELIMIT, add_dictionary, add_three};
use super::partition::PartitionKey;
use crate::algorithms::Plan;
use crate::limit::decision::{DecidingLimits, Decision};

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The largest integer of a structured field (RFC 9651, section 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// The form of the headers in which a [`ThrottleLayer`](super::ThrottleLayer) reports its limits.
///
/// The drafts are versions of draft-ietf-httpapi-ratelimit-headers. Many clients
/// read older ones.
///
/// ```
/// use premier::Limit;
/// use premier::tower::{HeaderFormat, ThrottleLayer};
/// use std::time::Duration;
///
/// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
///     .header_format(HeaderFormat::Draft06);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum HeaderFormat {
    /// `RateLimit: "api";r=9;t=6` and `RateLimit-Policy: "api";q=10;w=60`, as drafts 08 to 11 write it. The
    /// default.
    #[default]
    Draft11,
    /// `RateLimit: limit=10, remaining=9, reset=60` and `RateLimit-Policy: 10;w=60`.
    Draft07,
    /// `RateLimit-Limit: 10`, `RateLimit-Remaining: 9`, `RateLimit-Reset: 60` and `RateLimit-Policy: 10;w=60`,
    /// as drafts 03 to 06 write it.
    Draft06,
}

/// The values of a decision that appear in headers: those of the tightest limit. Times are in whole seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimitStatus {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// The time until one more than the remaining units can be used; zero if it is not known.
    more_after: u64,
    /// The time until the full quota is available again; for a denied request, until it would be
    /// admitted.
    reset_after: u64,
    pub(super) limits: DecidingLimits,
    /// Set only with [`ThrottleLayer::partition_keys`](super::ThrottleLayer::partition_keys).
    pub(super) partition: Option<PartitionKey>,
}

impl From<&Decision> for RateLimitStatus {
    fn from(decision: &Decision) -> Self {
        let reset_after = match decision.allowed {
            true => decision.reset_after,
            false => decision.retry_after,
        };
        let more_after = match decision.more_after {
            // The store does not say.
            Duration::ZERO => reset_after,
            more_after if decision.allowed => more_after,
            // `Retry-After` must not be before it.
            more_after => more_after.min(decision.retry_after),
        };
        Self {
            limit: decision.limit,
            remaining: decision.remaining,
            more_after: whole_seconds(more_after),
            reset_after: whole_seconds(reset_after),
            limits: decision.limits,
            partition: None,
        }
    }
}

impl RateLimitStatus {
    /// This status with times of at most `longest`.
    pub(super) fn within(self, longest: Duration) -> Self {
        let longest = whole_seconds(longest);
        Self {
            more_after: self.more_after.min(longest),
            reset_after: self.reset_after.min(longest),
            ..self
        }
    }

    /// The status of a limit that has nothing left for this long.
    pub(super) fn used_up(limit: u64, retry_after: Duration) -> Self {
        let retry_after = whole_seconds(retry_after);
        Self {
            limit,
            remaining: 0,
            more_after: retry_after,
            reset_after: retry_after,
            limits: DecidingLimits::default(),
            partition: None,
        }
    }
}

/// The names of a layer's policies, and the cached `RateLimit-Policy` header.
#[derive(Debug)]
pub(crate) struct Policies {
    names: Vec<Arc<str>>,
    /// The names as quoted strings for headers.
    quoted: Vec<String>,
    format: HeaderFormat,
    /// The header and the plans it was built from. It is built again when the limits change.
    header: RwLock<Option<(Arc<[Plan]>, HeaderValue)>>,
}

impl Policies {
    /// Uses the `given` names, and the layer's name with a number for limits that have none.
    pub(super) fn new(
        layer: &str,
        given: &[Arc<str>],
        limits: usize,
        format: HeaderFormat,
    ) -> Self {
        let names: Vec<Arc<str>> = (0..limits.max(1))
            .map(|index| match (given.get(index), index) {
                (Some(name), _) => Arc::clone(name),
                (None, 0) => Arc::from(layer),
                (None, index) => Arc::from(format!("{layer}-{}", index + 1)),
            })
            .collect();
        Self {
            quoted: names.iter().map(|name| Quoted(name).to_string()).collect(),
            names,
            format,
            header: RwLock::default(),
        }
    }

    /// Whether there is more than one policy.
    pub(super) fn are_several(&self) -> bool {
        self.names.len() > 1
    }

    /// Returns the names of the policies that deny a request with this status.
    pub(super) fn violated(&self, status: &RateLimitStatus) -> Vec<Arc<str>> {
        let DecidingLimits { tightest, denying } = status.limits;
        let denies = |index: usize| match denying {
            0 => index == usize::from(tightest),
            denying => index < 32 && denying & (1 << index) != 0,
        };
        let names = self.names.iter().enumerate();
        names
            .filter(|(index, _)| denies(*index))
            .map(|(_, name)| Arc::clone(name))
            .collect()
    }

    /// Returns all names, for a rejection without a decision.
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        self.names.clone()
    }

    /// Adds `RateLimit-Policy`, and the numbers of a decision if there is one. Present headers stay, unless their
    /// form can describe one limit only and this limit is tighter.
    pub(super) fn add(
        &self,
        headers: &mut HeaderMap,
        plans: &Arc<[Plan]>,
        status: Option<&RateLimitStatus>,
    ) {
        if let Some(status) = status {
            match self.format {
                HeaderFormat::Draft11 => self.add_item(headers, status),
                HeaderFormat::Draft07 => add_dictionary(headers, status_numbers(status)),
                HeaderFormat::Draft06 => add_three(headers, &DRAFT_06, status_numbers(status)),
            }
        }
        headers.append(RATELIMIT_POLICY, self.cached_header(plans));
    }

    /// Appends an item to the list `RateLimit`, unless the present header has the form of a draft without lists.
    fn add_item(&self, headers: &mut HeaderMap, status: &RateLimitStatus) {
        let index = usize::from(status.limits.tightest);
        let Some(name) = self.quoted.get(index).or_else(|| self.quoted.first()) else {
            return;
        };
        let (mut remaining, mut after) = ([0; 20], [0; 20]);
        let remaining = digits(status.remaining.min(LARGEST), &mut remaining);
        let after = match status.more_after {
            0 => &[],
            seconds => digits(seconds.min(LARGEST), &mut after),
        };
        let pk = status.partition.map(PartitionKey::encode);
        // The exact length, so that the vector becomes the value without a second allocation.
        let mut length = name.len() + 3 + remaining.len();
        length += if after.is_empty() { 0 } else { 3 + after.len() };
        length += pk.map_or(0, |pk| 5 + pk.len() + 1);
        let mut item = Vec::with_capacity(length);
        item.extend_from_slice(name.as_bytes());
        item.extend_from_slice(b";r=");
        item.extend_from_slice(remaining);
        if !after.is_empty() {
            item.extend_from_slice(b";t=");
            item.extend_from_slice(after);
        }
        if let Some(pk) = pk {
            item.extend_from_slice(b";pk=:");
            item.extend_from_slice(&pk);
            item.push(b':');
        }
        let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(item)) else {
            return;
        };
        match headers.entry(RATELIMIT) {
            Entry::Vacant(vacant) => {
                vacant.insert(value);
            }
            Entry::Occupied(mut others) => {
                if others.get().as_bytes().first() == Some(&b'"') {
                    others.append(value);
                }
            }
        }
    }

    fn cached_header(&self, plans: &Arc<[Plan]>) -> HeaderValue {
        let known = self.header.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, header)) = &*known
            && Arc::ptr_eq(of, plans)
        {
            return header.clone();
        }
        drop(known);
        let header = self.policy_header(plans);
        let known = Some((Arc::clone(plans), header.clone()));
        *self.header.write().unwrap_or_else(PoisonError::into_inner) = known;
        header
    }

    fn policy_header(&self, plans: &[Plan]) -> HeaderValue {
        let mut list = String::new();
        for (plan, name) in plans.iter().zip(&self.quoted) {
            let separator = if list.is_empty() { "" } else { ", " };
            let (quota, window) = quota_and_window(plan);
            let _ = match self.format {
                HeaderFormat::Draft11 => write!(list, "{separator}{name};q={quota};w={window}"),
                HeaderFormat::Draft07 | HeaderFormat::Draft06 => {
                    write!(list, "{separator}{quota};w={window}")
                }
            };
        }
        HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The numbers that the older forms have: limit, remaining, and reset in seconds from now.
pub(super) fn status_numbers(status: &RateLimitStatus) -> [u64; 3] {
    [status.limit, status.remaining, status.reset_after].map(|number| number.min(LARGEST))
}

/// Raises the `Retry-After` of the inner service, in seconds, if an admitted request has used the limit up: a
/// client that retried before the limit has a unit again would be denied here.
pub(super) fn delay_retry(headers: &mut HeaderMap, status: &RateLimitStatus) {
    let seconds = status.more_after;
    if status.remaining > 0 {
        return;
    }
    let Some(retry_after) = headers.get_mut(RETRY_AFTER) else {
        return;
    };
    let stated = retry_after.to_str().ok().and_then(|text| text.parse().ok());
    if stated.is_some_and(|stated: u64| stated < seconds) {
        *retry_after = HeaderValue::from(seconds);
    }
}

/// Returns the duration in seconds, rounded up so that waiting that long is enough.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// Writes a number in decimal. Returns bytes, because headers need no `str`, whose digits would be checked.
fn digits(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut begin = buffer.len();
    loop {
        begin -= 1;
        buffer[begin] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[begin..];
        }
    }
}

/// Returns the parameters `q` and `w` of a policy: w is the time in which a limit of which all is used up is
/// full again, rounded up to whole seconds, and q how many units the limit admits in that time.
///
/// With a burst of B and an emission interval of T, w = ⌈B · T⌉ and q = max(B, ⌊w / T⌋), so no key ever has more
/// than q units, and q / w is the rate. Without a burst, B · T is the period.
fn quota_and_window(plan: &Plan) -> (u64, u64) {
    const SECOND: u128 = 1_000_000_000;
    let (interval, den) = plan.emission_interval();
    let (interval, second) = (u128::from(interval), SECOND * u128::from(den));
    let capacity = u128::from(plan.capacity());
    let window = (capacity * interval).div_ceil(second).max(1);
    let quota = capacity.max(window * second / interval);
    let largest = u128::from(LARGEST);
    (quota.min(largest) as u64, window.min(largest) as u64)
}

/// Writes a quoted string that is valid both in structured fields (RFC 9651) and in JSON. Characters
/// other than printable ASCII become `?`.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_char('"')?;
        let is_plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if self.0.bytes().all(is_plain) {
            formatter.write_str(self.0)?;
            return formatter.write_char('"');
        }
        for c in self.0.chars() {
            match c {
                '"' | '\\' => {
                    formatter.write_char('\\')?;
                    formatter.write_char(c)?;
                }
                ' '..='~' => formatter.write_char(c)?,
                _ => formatter.write_char('?')?,
            }
        }
        formatter.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::quota::Limit;

    fn plans(limits: &[Limit]) -> Vec<Plan> {
        limits
            .iter()
            .map(|limit| Plan::new(*limit).unwrap())
            .collect()
    }

    fn seconds_of(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// From the examples of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4 and appendix B.
    #[test]
    fn headers_are_those_of_the_draft() {
        let daily = Limit::fixed_window(1_000, seconds_of(86_400));
        let plans = plans(&[Limit::fixed_window(100, seconds_of(60)), daily]);
        let given = ["burst".into(), "daily".into()];
        let policies = Policies::new("x", &given, 2, HeaderFormat::Draft11);
        let status = RateLimitStatus {
            remaining: 50,
            ..RateLimitStatus::used_up(100, seconds_of(29) + Duration::from_nanos(1))
        };
        let mut headers = HeaderMap::new();
        policies.add(&mut headers, &plans.into(), Some(&status));
        assert_eq!(headers["ratelimit"], "\"burst\";r=50;t=30");
        assert_eq!(
            headers["ratelimit-policy"],
            "\"burst\";q=100;w=60, \"daily\";q=1000;w=86400"
        );
    }

    #[test]
    fn windows_are_whole_seconds_and_quotas_what_they_admit() {
        for (quota, period, expected) in [
            (10, Duration::from_secs(1), (10, 1)),
            (5, Duration::from_millis(500), (10, 1)),
            (3, Duration::from_millis(1_500), (4, 2)),
            (1_000_000_000, Duration::from_secs(1), (1_000_000_000, 1)),
        ] {
            let plan = Plan::new(Limit::token_bucket(quota, period)).unwrap();
            assert_eq!(quota_and_window(&plan), expected);
        }
    }

    #[test]
    fn a_policy_admits_the_burst_of_its_limit() {
        let minute = Duration::from_secs(60);
        for (limit, expected) in [
            (Limit::token_bucket(100, minute).burst(20), (20, 12)),
            (Limit::token_bucket(100, minute).burst(200), (200, 120)),
            (Limit::token_bucket(100, minute).burst(1), (1, 1)),
            (Limit::leaky_bucket(6, minute).bucket_size(2), (3, 30)),
        ] {
            assert_eq!(quota_and_window(&Plan::new(limit).unwrap()), expected);
        }
    }

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        assert_eq!(Quoted("a\"b\\c\nd é").to_string(), "\"a\\\"b\\\\c?d ?\"");
    }

    #[test]
    fn numbers_are_those_that_a_structured_field_can_have() {
        let policies = Policies::new("x", &[], 1, HeaderFormat::Draft11);
        let status = RateLimitStatus {
            remaining: u64::MAX,
            ..RateLimitStatus::used_up(u64::MAX, Duration::MAX)
        };
        let mut headers = HeaderMap::new();
        policies.add(&mut headers, &[].into(), Some(&status));
        assert_eq!(
            headers["ratelimit"],
            "\"x\";r=999999999999999;t=999999999999999"
        );
    }
}
