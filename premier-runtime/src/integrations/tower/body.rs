//! The response body of a throttled service.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pin_project_lite::pin_project! {
    /// The response body of a throttled service: the body of the inner service, or the body of a
    /// rejection.
    #[derive(Debug)]
    pub struct ThrottleBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project_lite::pin_project! {
    #[project = InnerProjection]
    #[derive(Debug)]
    enum Inner<B> {
        Service { #[pin] body: B },
        // Empty once it has been sent.
        Own { bytes: Bytes },
    }
}

impl<B> ThrottleBody<B> {
    pub(super) const fn service(body: B) -> Self {
        Self {
            inner: Inner::Service { body },
        }
    }

    pub(super) const fn own(bytes: Bytes) -> Self {
        Self {
            inner: Inner::Own { bytes },
        }
    }
}

impl<B: Default> Default for ThrottleBody<B> {
    fn default() -> Self {
        Self::service(B::default())
    }
}

impl<B> Body for ThrottleBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().inner.project() {
            InnerProjection::Service { body } => body.poll_frame(context),
            InnerProjection::Own { bytes } if bytes.is_empty() => Poll::Ready(None),
            InnerProjection::Own { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(mem::take(bytes).into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Service { body } => body.is_end_stream(),
            Inner::Own { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Service { body } => body.size_hint(),
            Inner::Own { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
