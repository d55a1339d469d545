//! The data of the page, as JSON.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::Dashboard;
use super::history::{Health, History, LimitHistory, STEP, STEPS, Step, StoreId, unix_millis};
use super::page::answer;
#[cfg(feature = "cache")]
use crate::attributes::cache::cache_sizes;
use crate::attributes::circuit_breaker::breakers;
use crate::attributes::concurrency::{PermitStatus, permits};
use crate::error::EscapedKey;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;
use crate::store::outage::outage_calls;
use crate::telemetry::counts::Totals;
use crate::telemetry::retries;

#[derive(Serialize)]
struct Data {
    /// Identifies this process among others.
    instance: &'static str,
    /// The process and its host, as the page shows them.
    process: &'static str,
    /// When the history began, and the present, in milliseconds of Unix time.
    started: u64,
    now: u64,
    /// How long a step of the history lasts, and how many there are at most.
    step_ms: u64,
    steps: usize,
    /// The steps of this reply are those after `since` up to `sample`.
    since: u64,
    sample: u64,
    stores: Vec<StoreData>,
    limits: Vec<LimitData>,
    outages: OutageData,
    breakers: Vec<BreakerData>,
    retries: Vec<RetryData>,
    permits: Vec<PermitStatus>,
    #[cfg(feature = "cache")]
    caches: Vec<CacheData>,
    /// `None` if there is no limits file.
    #[cfg(feature = "limits-file")]
    limits_file: Option<FileData>,
}

#[derive(Serialize)]
struct StoreData {
    name: &'static str,
    /// Whether the store can be reached; `None` for a store that does not report it.
    up: Option<bool>,
    /// Since when, in milliseconds of Unix time.
    since: u64,
    /// What happens to calls while it cannot be reached.
    policy: Option<&'static str>,
}

#[derive(Serialize)]
struct RetryData {
    function: String,
    retries: u64,
}

#[derive(Serialize)]
struct BreakerData {
    function: &'static str,
    /// `closed`, `half_open` or `open`; `None` for a breaker with keys.
    state: Option<&'static str>,
}

#[cfg(feature = "cache")]
#[derive(Serialize)]
struct CacheData {
    function: &'static str,
    entries: usize,
}

#[cfg(feature = "limits-file")]
#[derive(Serialize)]
struct FileData {
    applied: u64,
    /// Why the present content of the file is not in force.
    error: Option<String>,
    /// The last changes of limits.
    changes: Vec<String>,
    /// The names that no limit has had.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct LimitData {
    id: u64,
    name: String,
    algo: &'static str,
    limits: Vec<String>,
    store: &'static str,
    /// Whether the store can be reached; `None` for a store that does not report it.
    up: Option<bool>,
    admitted: u64,
    denied: u64,
    shadow_denied: u64,
    failed: u64,
    /// How many calls wait now.
    waiting: u64,
    /// How many keys the memory of this process keeps, and how many it may keep.
    keys: usize,
    max_keys: usize,
    denied_keys: Vec<(String, u64)>,
    /// Since when the limit denies calls, in milliseconds of Unix time.
    denying_since: Option<u64>,
    history: Vec<Step>,
}

#[derive(Serialize)]
struct OutageData {
    allowed: u64,
    denied: u64,
    in_memory: u64,
}

pub(super) async fn data(State(dashboard): State<Dashboard>, uri: Uri) -> Response {
    let history = History::of_this_process();
    let since = since(uri.query().unwrap_or_default(), &history.instance);
    let (sample, health) = history.stores();
    let limiters = overrides::limiters();
    let calls = outage_calls();
    let data = Data {
        instance: &history.instance,
        process: &history.process,
        started: history.started,
        now: unix_millis(),
        step_ms: STEP.as_millis() as u64,
        steps: STEPS,
        since,
        sample,
        stores: stores(&limiters, &health),
        limits: limiters
            .iter()
            .enumerate()
            .map(|(index, limiter)| {
                let past = history.past(limiter, since, sample);
                // There are too many limits to keep the history of this one.
                let past = past.unwrap_or_else(|| LimitHistory::none(u64::MAX / 2 + index as u64));
                limit_data(limiter, dashboard, past)
            })
            .collect(),
        outages: OutageData {
            allowed: calls.allowed,
            denied: calls.denied,
            in_memory: calls.in_memory,
        },
        breakers: breakers()
            .into_iter()
            .map(|(function, state)| BreakerData { function, state })
            .collect(),
        retries: retries()
            .into_iter()
            .map(|(function, retries)| RetryData {
                function: function.to_string(),
                retries,
            })
            .collect(),
        permits: permits(),
        #[cfg(feature = "cache")]
        caches: cache_sizes()
            .into_iter()
            .map(|(function, entries)| CacheData { function, entries })
            .collect(),
        #[cfg(feature = "limits-file")]
        limits_file: overrides::file_status().map(file_data),
    };
    answer("application/json", Json(data))
}

/// Returns the step after which the page wants the history; 0 if its steps are those of another process.
fn since(query: &str, instance: &str) -> u64 {
    let parameter = |name: &str| {
        let mut parameters = query.split('&').filter_map(|pair| pair.split_once('='));
        parameters.find(|pair| pair.0 == name).map(|pair| pair.1)
    };
    match parameter("instance") {
        Some(known) if known == instance => {
            let since = parameter("since").and_then(|since| since.parse().ok());
            since.unwrap_or(0)
        }
        _ => 0,
    }
}

fn stores(limiters: &[Arc<Limiter>], health: &HashMap<StoreId, Health>) -> Vec<StoreData> {
    let mut stores = Vec::new();
    for (id @ (name, _), health) in health {
        let limiter = limiters.iter().find(|limiter| limiter.store_id() == *id);
        stores.push(StoreData {
            name,
            up: health.up,
            since: health.since,
            policy: limiter.and_then(|limiter| limiter.outage_policy()),
        });
    }
    stores.sort_by_key(|store| (store.name, store.since));
    stores
}

/// Returns the first two characters of a key and its length, or the whole key.
fn shown_key(key: &str, is_masked: bool) -> String {
    match is_masked {
        true => {
            let first: String = key.chars().take(2).collect();
            format!(
                "{}… of {} characters",
                EscapedKey(&first),
                key.chars().count()
            )
        }
        false => EscapedKey(key).to_string(),
    }
}

#[cfg(feature = "limits-file")]
fn file_data(status: overrides::FileStatus) -> FileData {
    FileData {
        applied: status.applied,
        error: status.error.map(|error| error.to_string()),
        changes: status.changes.iter().map(ToString::to_string).collect(),
        unknown: status.unknown.iter().map(ToString::to_string).collect(),
    }
}

fn limit_data(limiter: &Limiter, dashboard: Dashboard, past: LimitHistory) -> LimitData {
    let counts = &limiter.telemetry().counts;
    let Totals {
        admitted,
        denied,
        shadow_denied,
        failed,
    } = counts.totals();
    let limits = limiter.limits();
    let (store, up) = limiter.store();
    let (keys_in_memory, max_keys) = limiter.keys();
    LimitData {
        id: past.id,
        name: limiter.name().to_string(),
        algo: limits.first().map_or("", |limit| limit.algo().as_str()),
        limits: limits.iter().map(|limit| limit.to_string()).collect(),
        store,
        up,
        admitted,
        denied,
        shadow_denied,
        failed,
        waiting: limiter.waiting(),
        keys: keys_in_memory,
        max_keys,
        denied_keys: counts
            .denied_keys(dashboard.keys)
            .into_iter()
            .map(|(key, count)| (shown_key(&key, dashboard.masks_keys), count))
            .collect(),
        denying_since: past.denying_since,
        history: past.steps,
    }
}
