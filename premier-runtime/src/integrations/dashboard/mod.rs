//! A live page of every limit in this process, to be nested in an axum router.
//!
//! The page shows which limits deny calls now, since when, and of which keys; whether each store can be reached, and
//! what happens to calls while it cannot; how many calls each limit has admitted and denied per second in the last
//! ten minutes; and breakers, permits, retries, caches and the limits file. It is read-only and loads nothing but
//! its own data, which its content security policy enforces. It has no authentication: **mount it behind your
//! own**, or on a port that only you can reach.
//!
//! The page works under any path, also behind a proxy that strips a part of it. Mounted by axum's `nest_service`
//! it answers with and without a slash at the end of the path; by `nest` only without. It distinguishes processes that
//! answer at one address, so that replicas behind a load balancer are shown one by one.
//!
//! ```
//! use axum::Router;
//! use premier::dashboard::Dashboard;
//!
//! let app: Router = Router::new().nest_service("/premier", Dashboard::new().router());
//! # let _ = app;
//! ```

mod data;
mod history;
mod page;

use axum::Router;
use axum::routing::get;

use self::history::History;
use crate::telemetry::counts::keep_keys;

/// Builds the router of the dashboard.
///
/// Defaults: the 5 keys that each limit denies most often, of which only the first two characters are shown.
///
/// ```
/// use axum::Router;
/// use premier::dashboard::Dashboard;
///
/// let dashboard = Dashboard::new().denied_keys(10).router();
/// let app: Router = Router::new().nest_service("/premier", dashboard);
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dashboard {
    keys: usize,
    masks_keys: bool,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            keys: 5,
            masks_keys: true,
        }
    }
}

impl Dashboard {
    /// Creates a dashboard with the defaults.
    ///
    /// ```
    /// let router: axum::Router = premier::dashboard::Dashboard::new().router();
    /// # let _ = router;
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows the `most` keys of each limit that are denied most often, at most 64, in full. With 0 keys are
    /// neither shown nor counted. Default: 5, of which the page shows the first two characters and the length.
    ///
    /// Denials are counted per key once the router has been built. Keys can be personal data, and everyone who
    /// can open the page sees them.
    ///
    /// ```
    /// let dashboard = premier::dashboard::Dashboard::new().denied_keys(10);
    /// # let _ = dashboard;
    /// ```
    #[must_use]
    pub fn denied_keys(mut self, most: usize) -> Self {
        self.keys = most;
        self.masks_keys = false;
        self
    }

    /// Builds the router, which can be nested into a router with any state type.
    ///
    /// Starts a thread that records the decisions of all limits every two seconds. The page shows the last ten
    /// minutes of up to 1,000 limits, which takes 5 KB each.
    ///
    /// ```
    /// use premier::dashboard::Dashboard;
    ///
    /// let app: axum::Router = axum::Router::new().nest_service("/premier", Dashboard::new().router());
    /// # let _ = app;
    /// ```
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        if self.keys > 0 {
            keep_keys();
        }
        History::of_this_process();
        Router::new()
            .route("/", get(page::page))
            .route("/data", get(data::data))
            .with_state(self)
    }
}
