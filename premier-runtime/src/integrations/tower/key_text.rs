//! The text of a request's key: its parts, and what the request lacks for them.

use std::cell::Cell;
use std::fmt::{self, Display, Write};
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};
use http::request::Parts;
use http::{Extensions, Request, Uri};

use super::client_address::ClientAddress;
use super::ip_key::with_ip_key;
use super::missing_key::MissingPart;
use crate::key::buffer::KeyBuffer;
use crate::key::escape::EscapingWriter;

/// Returns the key of a request, or `None` if the request has none.
type KeyFn = dyn Fn(&Parts) -> Option<String> + Send + Sync;

#[derive(Clone)]
pub(super) enum Part {
    Address(ClientAddress),
    Header(HeaderName),
    Path,
    #[cfg(feature = "axum")]
    MatchedRoute,
    Function(Arc<KeyFn>),
}

impl fmt::Debug for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address:?}"),
            Self::Header(name) => write!(formatter, "header({name})"),
            Self::Path => formatter.write_str("path"),
            #[cfg(feature = "axum")]
            Self::MatchedRoute => formatter.write_str("matched_route"),
            Self::Function(_) => formatter.write_str("from_fn"),
        }
    }
}

/// The head of a request. `parts` is set only if a function needs them, because the parts have to be
/// moved out of the request and back.
pub(super) struct Head<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    parts: Option<&'a Parts>,
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self {
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
            parts: Some(parts),
        }
    }
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            parts: None,
        }
    }
}

/// Calls `then` with the text of these parts, and with the first of them that the request lacks.
pub(super) fn with_text<'a, R>(
    parts: &'a [Part],
    head: &'a Head<'a>,
    then: impl FnOnce(&str, Option<MissingPart<'a>>) -> R,
) -> R {
    match parts {
        [part] => part.with_text(head, then),
        _ => {
            let text = CompositeText {
                parts,
                head,
                missing: Cell::new(None),
            };
            let buffer = KeyBuffer::format(&text);
            then(buffer.as_str(), text.missing.get())
        }
    }
}

/// Writes the text of a key with several parts: the parts, escaped and separated by `:`.
struct CompositeText<'a> {
    parts: &'a [Part],
    head: &'a Head<'a>,
    /// The first part that the request lacks.
    missing: Cell<Option<MissingPart<'a>>>,
}

impl Display for CompositeText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                formatter.write_char(':')?;
            }
            part.with_text(self.head, |text, missing| {
                self.missing.set(self.missing.get().or(missing));
                EscapingWriter(formatter).write_str(text)
            })?;
        }
        Ok(())
    }
}

impl Part {
    fn with_text<'a, R>(
        &'a self,
        head: &Head<'_>,
        then: impl FnOnce(&str, Option<MissingPart<'a>>) -> R,
    ) -> R {
        let Head {
            uri,
            headers,
            extensions,
            parts,
        } = head;
        match self {
            Self::Address(client) => match client.find(headers, extensions) {
                Some(address) => with_ip_key(address, client.ipv6_prefix, &client.nat64, |text| {
                    then(text, None)
                }),
                None => then("-", Some(MissingPart::PeerAddress)),
            },
            Self::Header(name) => match headers.get(name) {
                Some(value) => match value.to_str() {
                    Ok(value) => then(value, None),
                    Err(_) => then(&String::from_utf8_lossy(value.as_bytes()), None),
                },
                None => then("-", Some(MissingPart::Header(name))),
            },
            Self::Path => then(uri.path(), None),
            #[cfg(feature = "axum")]
            Self::MatchedRoute => match extensions.get::<axum::extract::MatchedPath>() {
                Some(route) => then(route.as_str(), None),
                None => {
                    // Set by the router, also for requests that match no route.
                    let is_routed = extensions.get::<axum::extract::OriginalUri>().is_some();
                    then("-", (!is_routed).then_some(MissingPart::Route))
                }
            },
            Self::Function(key) => match parts.and_then(|parts| key(parts)) {
                Some(key) => then(&key, None),
                None => then("-", Some(MissingPart::Value)),
            },
        }
    }
}
