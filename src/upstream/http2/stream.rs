//! One request on a connection that others share.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{ResponseFuture, SendRequest},
};
use http_body::Frame;
use tokio::task::AbortHandle;

use super::{
    connection::Shared,
    head,
    upload::{Uploaded, Uploading},
};
use crate::{
    http1::Framing,
    telemetry::metrics::upstreams::Endpoint as Figures,
    upstream::{
        gate::Permit,
        http1::{ExchangeError, Head, Outgoing},
        standing::InFlight,
    },
};

/// One request on a connection that others share. When it is dropped before its end, the upstream is told that
/// nobody waits for the rest.
#[derive(Debug)]
pub struct Stream {
    shared: Rc<Shared>,
    sender: SendRequest<Bytes>,
    is_reused: bool,
    upload: Upload,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// What is left of the answer's body.
    framing: Framing,
    /// The body and what follows it were taken.
    is_over: bool,
    /// A byte of the answer came.
    is_heard: bool,
    /// The count of the request, where endpoints are chosen by that.
    in_flight: Option<InFlight>,
    /// Where there is a limit to requests at once.
    permit: Option<Permit>,
}

/// What became of the request's body.
#[derive(Debug)]
enum Upload {
    /// All of it was sent, or as much as is taken.
    Done,
    /// Who waits for the answer's head sends it.
    Waiter(Uploading),
    /// A task of its own sends it.
    Task(AbortHandle, Rc<Cell<bool>>),
}

impl Stream {
    pub(super) fn new(shared: Rc<Shared>, sender: SendRequest<Bytes>, is_reused: bool) -> Self {
        shared.enter();
        Self {
            shared,
            sender,
            is_reused,
            upload: Upload::Done,
            response: None,
            body: None,
            framing: Framing::NONE,
            is_over: false,
            is_heard: false,
            in_flight: None,
            permit: None,
        }
    }

    /// Makes it one of those that are counted, until it is over.
    pub(in crate::upstream) fn set_permit(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }

    /// Keeps the count of its request, until that is over.
    pub(in crate::upstream) fn hold(&mut self, in_flight: Option<InFlight>) {
        self.in_flight = in_flight;
    }

    /// Sends a request and waits for the head of its answer. A request of which nothing was sent, or that the
    /// upstream has surely not looked at, may be given to another connection after an error.
    pub(in crate::upstream) async fn exchange(
        &mut self,
        request: &mut Outgoing,
    ) -> Result<Head, ExchangeError> {
        let exchanged = poll_fn(|context| self.poll_exchange(request, context)).await;
        if let Err(ExchangeError::Http2(error)) = &exchanged
            && error.reason() == Some(Reason::REFUSED_STREAM)
        {
            // It was not processed in any way (RFC 9113 section 8.7).
            request.take_back();
        }
        exchanged
    }

    fn poll_exchange(
        &mut self,
        request: &mut Outgoing,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, ExchangeError>> {
        if self.response.is_none() {
            ready!(self.sender.poll_ready(context))?;
            self.begin(request)?;
        }
        if let Upload::Waiter(uploading) = &mut self.upload
            && let Poll::Ready(uploaded) = uploading.poll(request, context)?
        {
            if uploaded == Uploaded::Enough {
                tracing::debug!("upstream takes no more of a request");
            }
            self.upload = Upload::Done;
        }
        let Some(response) = &mut self.response else { return Poll::Pending };
        while let Poll::Ready(Some(interim)) = response.poll_informational(context) {
            self.is_heard = true;
            self.shared.note_answer();
            request.pass_interim(&head::answer(&interim?.into_parts().0, true)?);
        }
        let (parts, body) = ready!(Pin::new(response).poll(context))?.into_parts();
        self.is_heard = true;
        self.shared.note_answer();
        let head = head::answer(&parts, request.is_head())?;
        self.is_over = head.framing.is_over() || body.is_end_stream();
        (self.framing, self.body) = (head.framing, Some(body));
        Poll::Ready(Ok(head))
    }

    fn begin(&mut self, request: &mut Outgoing) -> Result<(), ExchangeError> {
        let told = head::request(request.text(), &self.shared.scheme())?;
        let is_whole = request.is_body_over();
        let (response, stream) = self.sender.send_request(told, is_whole)?;
        request.set_begun();
        self.response = Some(response);
        self.upload = if is_whole { Upload::Done } else { Upload::Waiter(Uploading::new(stream)) };
        Ok(())
    }

    /// Takes the next frame of the answer's body.
    pub(in crate::upstream) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let Some(body) = self.body.as_mut().filter(|_| !self.is_over) else {
            return Poll::Ready(None);
        };
        if let Some(data) = ready!(body.poll_data(context)) {
            let data = data?;
            self.shared.note_answer();
            // It is passed on when there is room for it, and asked for no sooner.
            body.flow_control().release_capacity(data.len())?;
            if let Framing::Length(left) = &mut self.framing {
                *left = left.saturating_sub(u64::try_from(data.len()).unwrap_or(u64::MAX));
            }
            self.is_over = body.is_end_stream();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(body.poll_trailers(context))?;
        self.is_over = true;
        Poll::Ready(trailers.map(|fields| Ok(Frame::trailers(fields))))
    }

    /// Tells whether the answer was taken to its end.
    pub(in crate::upstream) fn is_body_over(&self) -> bool {
        self.is_over
    }

    /// Gives how long the rest of the answer's body is, where that is known.
    pub(in crate::upstream) fn body_left(&self) -> Option<u64> {
        if self.is_over { Some(0) } else { self.framing.left() }
    }

    /// Gives what is left of a request a task of its own: it is to go on even while the client takes nothing of
    /// the answer.
    pub(in crate::upstream) fn detach(&mut self, mut request: Outgoing) {
        self.upload = match mem::replace(&mut self.upload, Upload::Done) {
            Upload::Waiter(mut uploading) => {
                let is_sent = Rc::new(Cell::new(false));
                let told = Rc::clone(&is_sent);
                let sending = tokio::task::spawn_local(async move {
                    match poll_fn(|context| uploading.poll(&mut request, context)).await {
                        Ok(_) => told.set(true),
                        Err(error) => tracing::debug!(%error, "request ended before its body"),
                    }
                });
                Upload::Task(sending.abort_handle(), is_sent)
            }
            other => other,
        };
    }

    /// Gives what is counted of its endpoint.
    pub(in crate::upstream) fn figures(&self) -> &Figures {
        self.shared.figures()
    }

    /// Tells whether a byte of the answer came.
    pub(in crate::upstream) fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Tells whether its connection was open before.
    pub(in crate::upstream) fn is_reused(&self) -> bool {
        self.is_reused
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Upload::Task(task, is_sent) = &self.upload
            && !is_sent.get()
        {
            task.abort();
        }
        self.shared.leave();
    }
}

impl From<h2::Error> for ExchangeError {
    fn from(error: h2::Error) -> Self {
        match error.is_io() {
            true => error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()).into(),
            false => Self::Http2(error),
        }
    }
}
