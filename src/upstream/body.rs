//! The request's body on its way up: counted, limited, and watched for how it ends.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use crate::{
    chain::tunnel::Meter,
    progress::{Progress, Upload, Waiting},
    server::body::{BodyError, ClientBody},
    upstream::headers,
};

/// A client's body as the upstream connection reads it.
#[derive(Debug)]
pub struct UploadBody {
    inner: ClientBody,
    max: u64,
    left: u64,
    progress: Rc<Progress>,
    /// What a WebSocket's bytes pass.
    meter: Option<Box<Meter>>,
}

/// Why a body cannot be sent on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client broke it off, or its framing.
    #[error("the client's body ended early")]
    Broken(#[source] BodyError),
    /// It is larger than allowed.
    #[error("the client's body is larger than allowed")]
    TooLarge,
}

impl UploadBody {
    /// Wraps a body of at most `max` bytes.
    pub fn new(inner: ClientBody, max: u64, progress: Rc<Progress>) -> Self {
        if inner.is_end_stream() {
            progress.set_upload(Upload::Done);
        }
        Self { inner, max, left: max, progress, meter: None }
    }

    /// Gives it back as it came, where nothing was taken of it.
    pub fn give_back(self) -> ClientBody {
        debug_assert!(self.is_untouched(), "what was taken is gone");
        self.inner
    }

    /// Tells whether nothing was taken of it.
    pub fn is_untouched(&self) -> bool {
        self.left == self.max
    }

    /// Goes on with all that the client says, as far as the meter lets it pass, until it says no more.
    pub fn switched(self, meter: Meter) -> Self {
        self.inner.switch();
        self.progress.set_upload(Upload::Open);
        Self { max: u64::MAX, left: u64::MAX, meter: Some(Box::new(meter)), ..self }
    }

    /// Notes how many bytes the upstream's connection has taken in all.
    pub fn note_sent(&mut self, bytes: u64) {
        if let Some(meter) = &mut self.meter {
            meter.note_sent(bytes);
        }
    }

    /// Sends the client an answer ahead of the last one.
    pub fn send_interim(&self, status: StatusCode, lines: &[u8]) {
        self.inner.send_interim(status, lines);
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, UploadError> {
        let bytes =
            frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
        let Some(left) = self.left.checked_sub(bytes) else {
            self.progress.set_upload(Upload::TooLarge { max: self.max });
            return Err(UploadError::TooLarge);
        };
        self.left = left;
        if let Some(trailers) = frame.trailers_mut() {
            headers::trailers_of_request(trailers);
        }
        // Nothing follows trailers.
        if frame.is_trailers() || self.inner.is_end_stream() {
            self.progress.set_upload(Upload::Done);
        }
        Ok(frame)
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        self.progress.set_waiting(Waiting::Client);
        let Self { inner, meter, .. } = &mut *self;
        let frame = ready!(match meter {
            None => Pin::new(inner).poll_frame(context),
            Some(meter) => meter.poll_frame(inner, context),
        });
        self.progress.set_waiting(Waiting::Upstream);
        Poll::Ready(match frame {
            None => {
                self.progress.set_upload(Upload::Done);
                None
            }
            Some(Err(error)) => {
                self.progress.set_upload(Upload::Broken);
                Some(Err(UploadError::Broken(error)))
            }
            Some(Ok(frame)) => Some(self.pass(frame)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
