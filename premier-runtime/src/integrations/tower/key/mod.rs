//! Keys of requests.

mod address;

use std::fmt;
use std::sync::Arc;

use http::header::HeaderName;
use http::request::Parts;

use super::key_text::{Head, Part, with_text};
use super::missing_key::MissingPart;

/// Selects the part of a request that is its key. Requests with equal keys share a limit.
///
/// A request without this part (no peer address, no such header) is refused unless
/// [`ThrottleLayer::missing_key`](super::ThrottleLayer::missing_key) says otherwise.
///
/// # Keys that clients choose
/// A client that can send any key gets a new limit with every value, and each value takes memory. A header is a
/// safe key only behind a layer that has authenticated it. Otherwise limit by address first, more generously,
/// and then by key:
///
/// ```
/// use premier::Limit;
/// use premier::tower::{RequestKey, ThrottleLayer};
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// // An address tries at most 600 keys a minute.
/// let outer = ThrottleLayer::new("by address", Limit::token_bucket(600, minute))
///     .key(RequestKey::peer_ip());
/// // A limit for each pair of API key and path.
/// let inner = ThrottleLayer::new("by API key", Limit::token_bucket(100, minute))
///     .key(RequestKey::header("x-api-key").and(RequestKey::path()));
/// # let _ = (outer, inner);
/// ```
///
/// # Addresses
/// An IPv6 address counts as its /64 network ([`RequestKey::ipv6_prefix`]), because a subscriber owns at
/// least a /64. One that contains an IPv4 address counts as the IPv4 address: IPv4-mapped, IPv4-compatible, NAT64
/// (`64:ff9b::/96`, `64:ff9b:1::/48`, and [`RequestKey::nat64_prefix`]), 6to4 and Teredo.
///
/// Headers such as `X-Forwarded-For` are trusted only as far as [`TrustedProxies`](super::TrustedProxies) says.
#[derive(Clone)]
pub struct RequestKey(Vec<Part>);

impl RequestKey {
    /// Uses the value of a header, unchanged. If the request has several headers of this name, the
    /// first one counts. The name may be in upper or lower case.
    ///
    /// A client may send any value unless something before the layer checks it:
    /// [how to limit by keys that clients choose](Self#keys-that-clients-choose).
    ///
    /// # Panics
    /// When `name` is not a valid name of a header, as when it is empty or contains a space.
    ///
    /// ```
    /// let key = premier::tower::RequestKey::header("X-Api-Key");
    /// # let _ = key;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn header(name: &str) -> Self {
        Self(vec![Part::Header(header_name(name))])
    }

    /// Uses the path of the URI, without the query.
    ///
    /// ```
    /// let key = premier::tower::RequestKey::path();
    /// # let _ = key;
    /// ```
    #[must_use]
    pub fn path() -> Self {
        Self(vec![Part::Path])
    }

    /// Uses the route that axum's router matched, such as `/users/{id}`, so that all paths of a route
    /// share a limit. Requests that match no route share one limit, too.
    ///
    /// Add the layer to the router: around it, no route is known yet.
    ///
    /// ```
    /// let key = premier::tower::RequestKey::matched_route();
    /// # let _ = key;
    /// ```
    #[cfg(feature = "axum")]
    #[must_use]
    pub fn matched_route() -> Self {
        Self(vec![Part::MatchedRoute])
    }

    /// Uses the text that a function returns for the head of a request. A request for which the
    /// function returns `None` lacks its key.
    ///
    /// ```
    /// use premier::tower::RequestKey;
    ///
    /// let by_query = RequestKey::from_fn(|parts| parts.uri.query().map(str::to_owned));
    /// # let _ = by_query;
    /// ```
    #[must_use]
    pub fn from_fn(key: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(vec![Part::Function(Arc::new(key))])
    }

    /// Combines two keys: every pair of their values has its own limit.
    ///
    /// ```
    /// use premier::tower::RequestKey;
    ///
    /// let address_and_path = RequestKey::peer_ip().and(RequestKey::path());
    /// # let _ = address_and_path;
    /// ```
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Calls `then` with the key of a request, and with the first thing that the request lacks for it. What is
    /// lacking is `-` in the key.
    pub(super) fn with_text<'a, R>(
        &'a self,
        head: &'a Head<'a>,
        then: impl FnOnce(&str, Option<MissingPart<'a>>) -> R,
    ) -> R {
        with_text(&self.0, head, then)
    }

    /// Whether a part of the key is a function of the request's parts.
    pub(super) fn needs_parts(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Function(_)))
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.0).finish()
    }
}

#[track_caller]
fn header_name(name: &str) -> HeaderName {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("{name:?} is not a valid name of a header"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::Request;

    use super::*;

    fn parts(headers: &[(&'static str, &str)], peer: Option<&str>) -> Parts {
        let mut request = Request::new(());
        *request.uri_mut() = "/users/7?x=1".parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        if let Some(peer) = peer {
            request
                .extensions_mut()
                .insert(peer.parse::<SocketAddr>().unwrap());
        }
        request.into_parts().0
    }

    /// The key, unless the request lacks what it needs.
    fn text(key: &RequestKey, parts: &Parts) -> Option<String> {
        key.with_text(&Head::from(parts), |text, missing| {
            missing.is_none().then(|| text.to_owned())
        })
    }

    #[track_caller]
    fn assert_key(key: &RequestKey, parts: &Parts, expected: &str) {
        assert_eq!(text(key, parts).as_deref(), Some(expected), "{key:?}");
    }

    #[test]
    fn every_extractor_writes_its_part() {
        let request = parts(
            &[("x-api-key", "k"), ("x-forwarded-for", "6.6.6.6, 9.9.9.9")],
            Some("10.0.0.255:80"),
        );
        assert_key(&RequestKey::peer_ip(), &request, "10.0.0.255");
        assert_key(&RequestKey::x_forwarded_for(1), &request, "9.9.9.9");
        assert_key(&RequestKey::x_forwarded_for(3), &request, "10.0.0.255");
        assert_key(&RequestKey::forwarded(1), &request, "10.0.0.255");
        assert_key(&RequestKey::header("x-api-key"), &request, "k");
        assert_key(&RequestKey::header("X-Api-Key"), &request, "k");
        assert_key(
            &RequestKey::ip_header("X-Real-IP", 1),
            &request,
            "10.0.0.255",
        );
        assert_key(&RequestKey::path(), &request, "/users/7");
        let by = RequestKey::from_fn(|parts| parts.uri.query().map(str::to_owned));
        assert_key(&by, &request, "x=1");
        let both = RequestKey::header("x-api-key").and(RequestKey::path());
        assert_key(&both, &request, "k:/users/7");
    }

    #[test]
    #[should_panic(expected = "\"x api key\" is not a valid name of a header")]
    fn a_name_that_no_header_can_have_panics() {
        let _ = RequestKey::header("x api key");
    }

    #[test]
    fn an_ipv6_subscriber_has_one_key() {
        for peer in ["[2001:db8:1:2::1]:80", "[2001:db8:1:2:ffff::9]:81"] {
            let request = parts(&[], Some(peer));
            assert_key(&RequestKey::peer_ip(), &request, "2001:db8:1:2::/64");
            let site = RequestKey::path()
                .and(RequestKey::peer_ip())
                .ipv6_prefix(48);
            assert_key(&site, &request, "/users/7:2001\\:db8\\:1\\:\\:/48");
        }
        let mapped = parts(&[], Some("[::ffff:1.2.30.104]:80"));
        assert_key(&RequestKey::peer_ip(), &mapped, "1.2.30.104");
    }

    #[test]
    fn a_client_behind_a_translator_of_the_network_has_the_key_of_its_ipv4_address() {
        let request = parts(&[], Some("[2001:db8:64::9.8.7.6]:80"));
        let key = RequestKey::peer_ip();
        assert_key(&key, &request, "2001:db8:64::/64");
        let key = key.nat64_prefix("2001:db8:64::/96").unwrap();
        assert_key(&key, &request, "9.8.7.6");
        assert!(RequestKey::peer_ip().nat64_prefix("2001:db8::/97").is_err());
    }

    #[test]
    #[should_panic(expected = "a prefix of 1 to 128 bits, not 0")]
    fn a_network_of_all_addresses_panics() {
        let _ = RequestKey::peer_ip().ipv6_prefix(0);
    }

    #[test]
    fn what_a_request_lacks_is_a_dash_in_its_key() {
        let request = parts(&[], None);
        let address = RequestKey::peer_ip();
        let header = RequestKey::header("x-other");
        let function = RequestKey::from_fn(|_| None);
        for (key, expected) in [
            (&address, "- PeerAddress"),
            (&header, "- Header(\"x-other\")"),
            (&function, "- Value"),
            (
                &RequestKey::path().and(header.clone()),
                "/users/7:- Header(\"x-other\")",
            ),
            (&function.clone().and(address.clone()), "-:- Value"),
            (&RequestKey::x_forwarded_for(1), "- PeerAddress"),
        ] {
            let found = key.with_text(&Head::from(&request), |text, missing| {
                format!("{text} {:?}", missing.unwrap())
            });
            assert_eq!(found, expected, "{key:?}");
        }
    }

    #[test]
    fn different_lists_of_parts_have_different_texts() {
        let key = RequestKey::header("a").and(RequestKey::header("b"));
        let one = text(&key, &parts(&[("a", "x:y"), ("b", "z")], None));
        let other = text(&key, &parts(&[("a", "x"), ("b", "y:z")], None));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!((&*one, &*other), ("x\\:y:z", "x:y\\:z"));
    }
}
