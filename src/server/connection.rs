//! One client connection: hyper's settings, the clocks, the end.

use std::{
    cell::Cell, convert::Infallible, future::poll_fn, net::SocketAddr, panic::AssertUnwindSafe,
    pin::pin, rc::Rc, sync::Arc, task::Poll, time::Duration,
};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout},
};
use uuid::Uuid;

use crate::{
    answer::{Fault, problem},
    chain::{self, arrival::Arrival, settle::AnswerBody},
    config::ServerLimits,
    io::{Observed, Observer},
    worker::{
        Connection, Stop, Worker,
        watch::{Expired, Watch},
    },
};

/// How long a body nobody wants is read while closing, so that the answer arrives.
const LINGER_TIME: Duration = Duration::from_secs(30);

/// How long the client may send nothing in that time.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// What hyper reads of a head beyond the limit, so that most heads that are too large get a body with
/// their answer (`chain/head.rs`); the rest get hyper's own, which has none.
const HEAD_SLACK: usize = 64 * 1024;

/// How many fields hyper takes when it is told nothing.
const HYPER_HEADERS_MAX: usize = 100;

/// Tells the watch what moves, and keeps the socket for a close that lingers.
struct Moves(Rc<Watch>, Rc<Cell<Option<TcpStream>>>);

impl Observer for Moves {
    fn read(&self) {
        self.0.read();
    }

    fn written(&self) {
        self.0.moved();
    }

    fn closed(&self, stream: TcpStream) {
        self.1.set(Some(stream));
    }
}

/// hyper's settings: a limit on everything. Its own header timeout stays off, because it would count
/// the time between two requests too; the watch does both. `pipeline_flush` stays off as well: with
/// it hyper takes an answer's body as fast as the upstream sends it, however slow the client is.
fn settings(limits: &ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // hyper's own number costs it less than the same one told.
    if limits.headers != HYPER_HEADERS_MAX {
        builder.max_headers(limits.headers);
    }
    builder
        .max_buf_size(limits.header_bytes + HEAD_SLACK)
        .half_close(false)
        .header_read_timeout(None);
    builder
}

/// Serves a connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let limits = worker.gateway().snapshot().server.limits.clone();
    let watch = Rc::new(Watch::new(&limits, Arc::clone(worker.connections())));
    let returned = Rc::new(Cell::new(None));
    let connection = Rc::new(Connection::new(peer, Rc::clone(&watch)));
    let io = TokioIo::new(Observed::new(stream, Moves(Rc::clone(&watch), Rc::clone(&returned))));
    let service = service_fn(|request| answer(&worker, &connection, request));
    {
        let mut serving = pin!(settings(&limits).serve_connection(io, service));
        let mut sleep = pin!(tokio::time::sleep_until(Instant::now() + limits.header_timeout));
        let stop = Cell::new(Stop::No);
        let signal = worker.stop();
        let mut following = pin!(follow(signal.clone(), &stop));
        let mut is_following = false;
        let mut asked = Stop::No;
        poll_fn(|context| {
            // It never ends by itself: what it sees is in the cell. To poll it takes a lock, to look
            // whether there is something to see does not.
            if !is_following || signal.has_changed().unwrap_or(true) {
                is_following = true;
                let _ = following.as_mut().poll(context);
            }
            if stop.get() != asked {
                asked = stop.get();
                serving.as_mut().graceful_shutdown();
            }
            if asked == Stop::Now {
                watch.drain();
                // A request without a head is answered in this poll; everything else ends here.
                let _ = serving.as_mut().poll(context);
                return Poll::Ready(());
            }
            loop {
                if let Poll::Ready(ended) = serving.as_mut().poll(context) {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "client connection ended");
                        // hyper answered a head that it could not read, and left the rest of it.
                        if error.is_parse() {
                            watch.leave_unread();
                            watch.could_not_parse();
                        }
                    }
                    return Poll::Ready(());
                }
                match watch.poll_expired(context, sleep.as_mut()) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Expired::Close) => return Poll::Ready(()),
                    // The request sees its cut when hyper is polled again.
                    Poll::Ready(Expired::Answer) => {}
                }
            }
        })
        .await;
    }
    if let Some(stream) = returned.take().filter(|_| watch.left_unread()) {
        let mut signal = worker.stop();
        tokio::select! {
            () = linger(stream) => {}
            _ = signal.wait_for(|stop| *stop == Stop::Now) => {}
        }
    }
}

/// Keeps a cell at how far a stop has come.
async fn follow(mut signal: tokio::sync::watch::Receiver<Stop>, stop: &Cell<Stop>) {
    loop {
        stop.set(*signal.borrow_and_update());
        if signal.changed().await.is_err() {
            // Nobody is left who could ask for a stop.
            std::future::pending::<()>().await;
        }
    }
}

/// Answers one request. A panic of ours is this request's alone: the reservation is settled while the
/// stack unwinds, and the caller gets a 500.
async fn answer(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let arrival = Arrival::now(worker);
    let request_id = arrival.request_id;
    let mut serving = pin!(chain::serve(worker, connection, request, arrival));
    let answered = poll_fn(|context| {
        // Nothing that a panic leaves half done is looked at again: the request's state is dropped.
        let polled = AssertUnwindSafe(|| serving.as_mut().poll(context));
        match std::panic::catch_unwind(polled) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await;
    Ok(answered.unwrap_or_else(|| internal_error(worker, request_id)))
}

fn internal_error(worker: &Worker, request_id: Uuid) -> Response<AnswerBody> {
    let snapshot = worker.gateway().snapshot();
    let mut response = problem::answer(
        &Fault::Internal.into(),
        &problem::Context {
            request_id,
            now: worker.gateway().clock().now(),
            base_url: snapshot.server.public_url.as_deref().unwrap_or_default(),
            prefix: &snapshot.server.reserved_prefix,
            realm: &snapshot.realm,
            plan: None,
            upgrade_url: None,
            status_by_code: &snapshot.status_by_code,
        },
    );
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.map(AnswerBody::own)
}

/// Reads what a client still sends after its answer, for a bounded time. hyper has sent our end by now;
/// to close with unread bytes would reset the connection and take the answer from a client that reads
/// it only when it has sent everything (RFC 9112 section 9.6).
async fn linger(mut stream: TcpStream) {
    let reading = async {
        let mut scratch = vec![0; 16 * 1024];
        while let Ok(Ok(1..)) = timeout(LINGER_SILENCE, stream.read(&mut scratch)).await {}
    };
    let _ = timeout(LINGER_TIME, reading).await;
}
