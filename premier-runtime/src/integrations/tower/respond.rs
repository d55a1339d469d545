//! The response to a request, made of that of the inner service or of a rejection.

use std::sync::Arc;

use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::body::ThrottleBody;
use super::config::Shared;
use super::decide::{Admitted, Charge, Rejected};
use super::older_header::{X_RATELIMIT, add_three};
use super::rate_limit_header::{RateLimitStatus, delay_retry, status_numbers};
use super::reply::rejection_of;
use crate::algorithms::Plan;

impl Shared {
    /// Builds the response to a rejected request. `grpc` is the content type of the response to a gRPC call.
    pub(super) fn reject<R>(
        &self,
        rejected: Rejected,
        grpc: Option<HeaderValue>,
    ) -> Response<ThrottleBody<R>> {
        let Rejected { error, status } = rejected;
        let violated = match &status {
            Some(status) => self.policies.violated(status),
            None => self.policies.all(),
        };
        // A request that would have to wait too long is rejected without a decision, so the headers
        // describe the first limit.
        let status = status.or_else(|| {
            let limit = self.plans().first()?.capacity();
            Some(RateLimitStatus::used_up(limit, error.retry_after()?))
        });
        let mut rejection = rejection_of(error, violated);
        rejection.delay_at_random(self.config.retry_jitter);
        let response = match (&self.config.reply, grpc) {
            (Some(reply), _) => {
                let mut response = reply(&rejection);
                rejection.add_common_headers(response.headers_mut());
                response
            }
            (None, Some(content_type)) => {
                let mut response = rejection.to_grpc_response();
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
            (None, None) => rejection.to_response(),
        };
        let mut response = response.map(ThrottleBody::own);
        self.add_headers(response.headers_mut(), status.as_ref());
        response
    }

    pub(super) fn finish<R>(
        &self,
        mut response: Response<R>,
        admitted: Admitted,
    ) -> Response<ThrottleBody<R>> {
        let Admitted { mut status, charge } = admitted;
        if let (Some(charge), Some(is_charged)) = (charge, &self.config.charge) {
            let (parts, body) = response.into_parts();
            if !is_charged(&parts) {
                let Charge {
                    pending,
                    cost,
                    reservation,
                } = *charge;
                if let Some(limiter) = self.config.throttle.bound() {
                    limiter.release(pending.key(), reservation, cost);
                }
                pending.refunded();
                status.remaining = status.remaining.saturating_add(cost).min(status.limit);
            }
            response = Response::from_parts(parts, body);
        }
        if !self.ignores_decision {
            delay_retry(response.headers_mut(), &status);
        }
        self.add_headers(response.headers_mut(), Some(&status));
        response.map(ThrottleBody::service)
    }

    fn plans(&self) -> Arc<[Plan]> {
        let limiter = self.config.throttle.bound();
        limiter.map_or_else(|| [].into(), |limiter| limiter.plans())
    }

    fn add_headers(&self, headers: &mut HeaderMap, status: Option<&RateLimitStatus>) {
        let config = &self.config;
        if config.standard_headers {
            match config.throttle.bound() {
                Some(limiter) => {
                    limiter.with_plans(|plans| self.policies.add(headers, plans, status));
                }
                None => self.policies.add(headers, &[].into(), status),
            }
        }
        if let (true, Some(status)) = (config.older_headers, status) {
            add_three(headers, &X_RATELIMIT, status_numbers(status));
        }
    }
}
