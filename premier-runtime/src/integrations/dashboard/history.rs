//! What the limits of this process have decided in the last ten minutes, so that the page shows it as soon as it
//! is opened.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::limiter::named::Limiter;
use crate::limiter::overrides;
use crate::telemetry::counts::Totals;

/// How long a step lasts.
pub(super) const STEP: Duration = Duration::from_secs(2);

/// How many steps are kept.
pub(super) const STEPS: usize = 300;

/// The most limits whose steps are kept, which take 5 KB each.
const MOST_LIMITS: usize = 1_000;

/// The page shows a limit as denying calls until it has denied none for this many steps.
const QUIET_STEPS: u64 = 5;

/// The calls that were admitted, denied, denied in shadow, and that failed.
pub(super) type Step = [u32; 4];

/// The name of a store, and a number that is different for each store of that name.
pub(super) type StoreId = (&'static str, usize);

/// The steps of all limits, and the health of all stores.
pub(super) struct History {
    /// Identifies this process among all that answer or have answered at one address.
    pub(super) instance: String,
    /// The process and its host, as the page shows them.
    pub(super) process: String,
    /// When the history began, in milliseconds of Unix time.
    pub(super) started: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// How many steps have ended.
    number: u64,
    /// By the address of the limiter, which no other limiter has while its `Weak` is here.
    limits: HashMap<usize, Series>,
    next_id: u64,
    stores: HashMap<StoreId, Health>,
}

struct Series {
    limiter: Weak<Limiter>,
    id: u64,
    totals: Totals,
    steps: VecDeque<Step>,
    denying_since: Option<u64>,
    /// The number of the last step with a denial.
    denied_at: u64,
}

/// The health of a store.
#[derive(Clone, Copy)]
pub(super) struct Health {
    /// Whether it can be reached; `None` if it does not report that.
    pub(super) up: Option<bool>,
    /// Since when, in milliseconds of Unix time.
    pub(super) since: u64,
}

/// What the page shows of one limit.
pub(super) struct LimitHistory {
    pub(super) id: u64,
    pub(super) steps: Vec<Step>,
    /// Since when the limit denies calls, in milliseconds of Unix time.
    pub(super) denying_since: Option<u64>,
}

/// A limit at one moment.
struct Snapshot {
    limiter: Arc<Limiter>,
    totals: Totals,
    store: StoreId,
    up: Option<bool>,
}

impl History {
    /// The history of this process, which begins with the first call.
    pub(super) fn of_this_process() -> &'static Self {
        static HISTORY: OnceLock<History> = OnceLock::new();
        static THREAD: OnceLock<bool> = OnceLock::new();
        let history = HISTORY.get_or_init(Self::new);
        THREAD.get_or_init(|| {
            let thread = thread::Builder::new().name("premier-dashboard".into());
            // Without a thread the page shows the present only.
            thread.spawn(|| history.keep()).is_ok()
        });
        history
    }

    fn new() -> Self {
        let (started, id) = (unix_millis(), std::process::id());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.or_else(|| std::env::var("HOSTNAME").ok());
        let host = host.or_else(|| std::env::var("COMPUTERNAME").ok());
        let host = host.as_deref().map_or("this host", str::trim);
        Self {
            instance: format!("{host}-{id}-{started}"),
            process: format!("process {id} on {host}"),
            started,
            kept: Mutex::default(),
        }
    }

    /// Ends a step every two seconds.
    fn keep(&self) -> ! {
        let mut next = Instant::now();
        loop {
            self.end_steps(1);
            next += STEP;
            let now = Instant::now();
            match next.checked_duration_since(now) {
                Some(left) => thread::sleep(left),
                None => {
                    // The process was suspended: nothing was decided meanwhile.
                    let missed = (now - next).as_nanos() / STEP.as_nanos();
                    self.end_steps(u64::try_from(missed).unwrap_or(0));
                    next += STEP * u32::try_from(missed).unwrap_or(0);
                }
            }
        }
    }

    /// Ends this many steps. The first one gets all decisions.
    fn end_steps(&self, count: u64) {
        for _ in 0..count.min(STEPS as u64) {
            let snapshots = snapshots();
            let now = unix_millis();
            let mut kept = self.kept();
            kept.number += 1;
            let number = kept.number;
            kept.record_stores(&snapshots, now);
            for limit in &snapshots {
                if let Some(series) = kept.series(&limit.limiter) {
                    series.end_step(limit.totals, now, number);
                }
            }
            kept.limits
                .retain(|_, series| series.limiter.strong_count() > 0);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the last step, and the health of each store.
    pub(super) fn stores(&self) -> (u64, HashMap<StoreId, Health>) {
        let snapshots = snapshots();
        let now = unix_millis();
        let mut kept = self.kept();
        kept.record_stores(&snapshots, now);
        (kept.number, kept.stores.clone())
    }

    /// Returns the steps of a limit after step `since` up to step `last`. `None` if there are too many limits.
    pub(super) fn past(
        &self,
        limiter: &Arc<Limiter>,
        since: u64,
        last: u64,
    ) -> Option<LimitHistory> {
        let mut kept = self.kept();
        let number = kept.number;
        let series = kept.series(limiter)?;
        let count = series.steps.len();
        let place_after = |step: u64| {
            let later = usize::try_from(number.saturating_sub(step)).unwrap_or(usize::MAX);
            count.saturating_sub(later)
        };
        let wanted = place_after(since)..place_after(last.max(since));
        Some(LimitHistory {
            id: series.id,
            steps: series.steps.range(wanted).copied().collect(),
            denying_since: series.denying_since,
        })
    }
}

impl LimitHistory {
    /// The history of a limit without steps.
    pub(super) const fn none(id: u64) -> Self {
        Self {
            id,
            steps: Vec::new(),
            denying_since: None,
        }
    }
}

impl Kept {
    fn series(&mut self, limiter: &Arc<Limiter>) -> Option<&mut Series> {
        let address = Arc::as_ptr(limiter).addr();
        if !self.limits.contains_key(&address) {
            if self.limits.len() >= MOST_LIMITS {
                return None;
            }
            // Decisions from before the history began are not part of its first step.
            let totals = match self.number {
                0 | 1 => limiter.telemetry().counts.totals(),
                _ => Totals::default(),
            };
            self.next_id += 1;
            let series = Series {
                limiter: Arc::downgrade(limiter),
                id: self.next_id,
                totals,
                steps: VecDeque::new(),
                denying_since: None,
                denied_at: 0,
            };
            self.limits.insert(address, series);
        }
        self.limits.get_mut(&address)
    }

    fn record_stores(&mut self, snapshots: &[Snapshot], now: u64) {
        for limit in snapshots {
            let health = Health {
                up: limit.up,
                since: now,
            };
            let known = self.stores.entry(limit.store).or_insert(health);
            if known.up != limit.up {
                *known = health;
            }
        }
        let is_used = |store: &_| snapshots.iter().any(|limit| limit.store == *store);
        self.stores.retain(|store, _| is_used(store));
    }
}

impl Series {
    fn end_step(&mut self, totals: Totals, now: u64, number: u64) {
        let before = std::mem::replace(&mut self.totals, totals);
        let more =
            |now: u64, before: u64| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
        let step = [
            more(totals.admitted, before.admitted),
            more(totals.denied, before.denied),
            more(totals.shadow_denied, before.shadow_denied),
            more(totals.failed, before.failed),
        ];
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
        if step[1] > 0 {
            self.denied_at = number;
            self.denying_since.get_or_insert(now);
        } else if number - self.denied_at >= QUIET_STEPS {
            self.denying_since = None;
        }
    }
}

impl Snapshot {
    fn of(limiter: Arc<Limiter>) -> Self {
        Self {
            totals: limiter.telemetry().counts.totals(),
            store: limiter.store_id(),
            up: limiter.store().1,
            limiter,
        }
    }
}

/// Returns all limits as they are now. Holds no lock, because a store is user code.
fn snapshots() -> Vec<Snapshot> {
    overrides::limiters()
        .into_iter()
        .map(Snapshot::of)
        .collect()
}

pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
