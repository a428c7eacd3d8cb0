//! One stream: a request, its answer, and what ends them early.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{Method, Request, request::Parts};
use tokio::time::timeout;

use super::{
    answer::{Sending, Unsent},
    body::{Inbound, Side},
    head,
};
use crate::{
    chain::reply::Reply,
    server::{
        answers::Answers,
        body::ClientBody,
        clocks,
        connection::{LINGER_SILENCE, LINGER_TIME},
        http1::Service as _,
    },
    websocket,
    worker::{Connection, Worker},
};

/// Serves a request to the end of its stream.
pub(super) async fn serve(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    fields_max: usize,
    first: Duration,
) {
    let (mut head, upload) = request.into_parts();
    if head::opens_websocket(&head) {
        websocket::open_on_stream(&mut head, worker.nonce());
    }
    let side = Rc::new(Side::new(&head, upload, respond, Rc::clone(&connection.watch)));
    let stream = Stream { worker: &worker, connection: &connection, side };
    let serving = pin!(stream.exchange(head, fields_max));
    clocks::run(&worker, &connection.watch, first, &Cell::new(false), serving).await;
}

/// One stream. When it is dropped, the client is told that what it still sends is not wanted.
struct Stream<'a> {
    worker: &'a Rc<Worker>,
    connection: &'a Rc<Connection>,
    side: Rc<Side>,
}

impl Stream<'_> {
    async fn exchange(&self, mut head: Parts, fields_max: usize) {
        let answers = Answers { worker: self.worker, connection: self.connection };
        let reply = match head::check(&mut head, fields_max) {
            Err(reason) => {
                self.worker.connections().unparsable.add(1);
                answers.refuse(reason)
            }
            Ok(()) => {
                let body = ClientBody::Http2(Inbound::new(Rc::clone(&self.side)));
                // By itself, because the way down needs it no more, and may take long.
                let answering = Box::pin(answers.answer(&mut head, body));
                let Some(reply) = self.unless_reset(answering).await else { return };
                reply
            }
        };
        // Nothing of a head is kept until the client takes its answer: it may have been refused as too large.
        let method = std::mem::take(&mut head.method);
        drop(head);
        match self.send(reply, &method, &answers).await {
            Ok(()) => self.linger().await,
            Err(reason) => tracing::debug!(%reason, "an answer was not sent whole"),
        }
    }

    /// Reads what a client still sends behind its answer, for a bounded time. To reset the stream at once would be
    /// allowed (RFC 9113 section 8.1), and takes the answer from curl, httpx and others that have not read it.
    async fn linger(&self) {
        let reading = async {
            let discard = async || {
                let discard = poll_fn(|context| self.side.poll_discard(context));
                timeout(LINGER_SILENCE, discard).await
            };
            while let Ok(true) = discard().await {}
        };
        let _ = timeout(LINGER_TIME, reading).await;
    }

    /// Runs a future to its end; `None` when the client has reset the stream before, or is gone.
    async fn unless_reset<T>(&self, mut future: impl Future<Output = T> + Unpin) -> Option<T> {
        poll_fn(|context| {
            if self.side.poll_reset(context).is_ready() {
                return Poll::Ready(None);
            }
            Pin::new(&mut future).poll(context).map(Some)
        })
        .await
    }

    async fn send(
        &self,
        reply: Reply,
        method: &Method,
        answers: &Answers<'_>,
    ) -> Result<(), Unsent> {
        let watch = &self.connection.watch;
        let Some(respond) = self.side.take_respond() else { return Err(Unsent::Gone) };
        let mut sending = Sending::begin(respond, reply, method, || answers.now())?;
        watch.begin_answer(sending.is_switch());
        let sent = poll_fn(|context| {
            // Whoever takes nothing of it is looked at as well.
            if watch.takes_look() && !sending.may_go_on() {
                return Poll::Ready(Err(Unsent::Refused));
            }
            sending.attend(context);
            let before = sending.sent();
            let polled = sending.poll_send(context);
            if let Some(bytes @ 1..) = sending.sent().checked_sub(before) {
                watch.moved_by(bytes);
            }
            if polled.is_pending() {
                watch.lasts();
            }
            watch.wait_for_taking(polled.is_pending() && sending.is_pending());
            polled
        })
        .await;
        watch.end_answer();
        if let Err(Unsent::Body(_)) = &sent {
            // The reset that follows takes the place of what is queued. The connection's task comes first.
            tokio::task::yield_now().await;
        }
        sent
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.side.close();
    }
}
