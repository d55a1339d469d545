//! gRPC and gRPC-Web: which requests expect their status in `grpc-status`.
//!
//! A gRPC response has the HTTP status 200 even for an error, so only a request with the whole form of a gRPC
//! call gets one. The content type alone is not enough: a client could send it with a GET, and a cache in front
//! of the service would store an empty 200 and serve it to all clients.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};

use super::reply::Rejection;
use crate::error::Error;

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The content types of gRPC-Web, which works over HTTP/1.1 as well.
const GRPC_WEB: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// Returns the content type of the response if a request is a gRPC or gRPC-Web call.
pub(super) fn response_type<B>(request: &Request<B>) -> Option<HeaderValue> {
    if request.method() != Method::POST {
        return None;
    }
    let content_type = request.headers().get(CONTENT_TYPE)?;
    let kind = content_type.as_bytes();
    if GRPC_WEB
        .iter()
        .any(|web| kind.eq_ignore_ascii_case(web.as_bytes()))
    {
        return Some(content_type.clone());
    }
    let (name, rest) = kind.split_at_checked(GRPC.len())?;
    let is_grpc = request.version() >= Version::HTTP_2
        && name.eq_ignore_ascii_case(GRPC.as_bytes())
        && matches!(rest, [] | [b'+' | b';', ..]);
    is_grpc.then(|| HeaderValue::from_static(GRPC))
}

impl Rejection {
    /// Builds the default response to a gRPC request: the HTTP status 200, no body, and the status of
    /// the rejection as a [gRPC status](https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
    ///
    /// 429 becomes `RESOURCE_EXHAUSTED`, 503 `UNAVAILABLE`, 504 `DEADLINE_EXCEEDED`, 400
    /// `INVALID_ARGUMENT` and 500 `INTERNAL`. The layer uses it for POST requests over HTTP/2 with the
    /// content type `application/grpc`, also with a suffix such as `+proto`, and for POST requests with a
    /// content type of gRPC-Web, which the response then has as well.
    #[must_use]
    pub fn to_grpc_response(&self) -> Response<Bytes> {
        let (code, message) = match (self.status, &self.error) {
            (StatusCode::TOO_MANY_REQUESTS, _) => ("8", "quota exceeded"),
            (StatusCode::SERVICE_UNAVAILABLE, _) => ("14", "temporarily unavailable"),
            (StatusCode::GATEWAY_TIMEOUT, _) => ("4", "deadline exceeded"),
            (StatusCode::BAD_REQUEST, Error::MissingKey { .. }) => {
                ("3", "the request lacks what its limit is keyed by")
            }
            (StatusCode::BAD_REQUEST, _) => ("3", "more than can ever be admitted"),
            _ => ("13", "internal error"),
        };
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
        headers.insert(GRPC_STATUS, HeaderValue::from_static(code));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
        self.add_common_headers(headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_type(method: Method, version: Version, kind: &str, expected: Option<&str>) {
        let request = Request::builder().method(&method).version(version);
        let request = request.header(CONTENT_TYPE, kind).body(()).unwrap();
        let found = response_type(&request);
        let found = found.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(found, expected, "{method} {version:?} {kind}");
    }

    #[test]
    fn a_grpc_call_is_a_post_over_http_2() {
        let grpc = Some("application/grpc");
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc+json",
            "application/grpc;charset=utf-8",
            "Application/gRPC",
        ] {
            assert_type(Method::POST, Version::HTTP_2, kind, grpc);
            assert_type(Method::POST, Version::HTTP_3, kind, grpc);
            assert_type(Method::POST, Version::HTTP_11, kind, None);
            assert_type(Method::GET, Version::HTTP_2, kind, None);
            assert_type(Method::PUT, Version::HTTP_2, kind, None);
        }
        for kind in [
            "application/grpcx",
            "application/grpc-webx",
            "application/json",
            "",
        ] {
            assert_type(Method::POST, Version::HTTP_2, kind, None);
        }
    }

    #[test]
    fn a_grpc_web_call_is_a_post_with_one_of_its_types() {
        for kind in GRPC_WEB {
            assert_type(Method::POST, Version::HTTP_11, kind, Some(kind));
            assert_type(Method::POST, Version::HTTP_2, kind, Some(kind));
            assert_type(Method::GET, Version::HTTP_11, kind, None);
        }
        assert_type(
            Method::POST,
            Version::HTTP_11,
            "application/grpc-web-texts",
            None,
        );
    }
}
