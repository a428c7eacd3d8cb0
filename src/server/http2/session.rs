//! One connection of HTTP/2: it takes streams until either side wants no more, and ends in good order.

use std::{
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::Request;
use tokio::{
    task::JoinSet,
    time::{Instant, Sleep},
};

use super::{
    guard::{Gauge, Guarded},
    settings, stream,
};
use crate::{
    config::ServerLimits,
    worker::{
        Connection, Stop, Worker,
        watch::{Carries, HURRY, Watch},
    },
};

/// How long a client may take to hear that the connection ends.
const LAST_WORD_TIME: Duration = Duration::from_secs(1);

/// One connection of HTTP/2.
pub(super) struct Session<'a> {
    worker: &'a Rc<Worker>,
    connection: &'a Rc<Connection>,
    limits: &'a ServerLimits,
    gauge: Rc<Gauge>,
    protocol: Protocol,
    /// A task for each, so that one wakes no other. They end with the connection.
    streams: JoinSet<()>,
    course: Course,
}

enum Protocol {
    /// The preface is awaited.
    Beginning(Box<h2::server::Handshake<Guarded, Bytes>>),
    Running(Box<h2::server::Connection<Guarded, Bytes>>),
}

/// A request as h2 gives it, and what answers it.
type Opened = (Request<RecvStream>, SendResponse<Bytes>);

impl Protocol {
    /// Waits for the next stream; `None` when the connection has ended in good order.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Opened>, h2::Error>> {
        if let Self::Beginning(handshake) = self {
            let running = ready!(Pin::new(handshake).poll(context))?;
            *self = Self::Running(Box::new(running));
        }
        let Self::Running(running) = self else { return Poll::Pending };
        pin!(running.accept()).poll(context).map(Option::transpose)
    }
}

/// How near the connection is to its end.
#[derive(Clone, Copy, Debug)]
enum Course {
    Open,
    /// The client knows that it is to open no more streams. Those that were on their way are served; where there
    /// are none it waits until then.
    Draining(Option<Instant>),
    /// Nothing more is read. What is written goes out until then.
    Ending(Instant),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        worker: &'a Rc<Worker>,
        connection: &'a Rc<Connection>,
        limits: &'a ServerLimits,
        guarded: Guarded,
    ) -> Self {
        let gauge = guarded.gauge();
        let protocol = Protocol::Beginning(Box::new(settings(limits).handshake(guarded)));
        let (streams, course) = (JoinSet::new(), Course::Open);
        Self { worker, connection, limits, gauge, protocol, streams, course }
    }

    /// Takes a turn; ready at the end of the connection.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut sleep: Pin<&mut Sleep>,
    ) -> Poll<()> {
        self.gauge.begin_turn();
        loop {
            if self.poll_protocol(context).is_ready() {
                return Poll::Ready(());
            }
            while let Poll::Ready(Some(_)) = self.streams.poll_join_next(context) {}
            self.carry();
            if self.heed() {
                // What it decided is for h2 to do.
                continue;
            }
            ready!(self.poll_time(context, sleep.as_mut()));
            match (self.course, &self.protocol) {
                (Course::Ending(_), _) => {
                    self.watch().give_up();
                    return Poll::Ready(());
                }
                (_, Protocol::Beginning(_)) => return Poll::Ready(()),
                _ => self.end(Reason::NO_ERROR),
            }
        }
    }

    /// Ends the streams that are left.
    pub(super) async fn end_streams(&mut self) {
        self.streams.shutdown().await;
    }

    fn watch(&self) -> &Rc<Watch> {
        &self.connection.watch
    }

    /// Takes the streams that came; ready when nothing more can come or go.
    fn poll_protocol(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.protocol.poll_next(context)) {
                Ok(Some((request, respond))) => self.begin(request, respond),
                Ok(None) => return Poll::Ready(()),
                Err(error) => {
                    tracing::debug!(%error, "client connection ended");
                    if let Protocol::Beginning(_) = self.protocol {
                        self.watch().could_not_parse();
                    }
                    // It was told why, and may read that before it sees the end.
                    self.watch().leave_unread();
                    return Poll::Ready(());
                }
            }
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let watch = Rc::new(Watch::of_stream(self.limits, self.watch().signals()));
        let connection = Rc::new(self.connection.stream(watch));
        let (worker, fields_max) = (Rc::clone(self.worker), self.limits.headers);
        let first = self.limits.header_timeout;
        self.streams
            .spawn_local(stream::serve(worker, connection, request, respond, fields_max, first));
    }

    fn carry(&self) {
        if let Protocol::Running(_) = self.protocol {
            self.watch().carry(if self.gauge.is_in_head() {
                Carries::Head
            } else if self.streams.is_empty() {
                Carries::Nothing
            } else {
                Carries::Streams
            });
        }
    }

    /// Changes the course by what the worker tells and the guard has seen; tells whether it did.
    fn heed(&mut self) -> bool {
        let Protocol::Running(running) = &mut self.protocol else { return false };
        let is_unused = self.streams.is_empty();
        let stop = self.connection.watch.signals().stop;
        match self.course {
            Course::Ending(_) => return false,
            _ if self.gauge.is_spent() => {
                self.connection.watch.leave_unread();
                self.end(Reason::ENHANCE_YOUR_CALM);
            }
            // What the last of them was answered has gone.
            _ if stop == Stop::Now && is_unused && !running.has_streams() => {
                self.end(Reason::NO_ERROR);
            }
            Course::Open if stop != Stop::No => {
                running.graceful_shutdown();
                self.course = Course::Draining(None);
            }
            Course::Draining(None) if is_unused || stop == Stop::Now => {
                self.course = Course::Draining(Some(Instant::now() + HURRY));
                return false;
            }
            Course::Draining(Some(_)) if !is_unused && stop != Stop::Now => {
                self.course = Course::Draining(None);
                return false;
            }
            Course::Open | Course::Draining(_) => return false,
        }
        true
    }

    /// Ends it at once: streams that are left are cut.
    fn end(&mut self, reason: Reason) {
        if let Protocol::Running(running) = &mut self.protocol {
            running.abrupt_shutdown(reason);
        }
        self.course = Course::Ending(Instant::now() + LAST_WORD_TIME);
    }

    /// Waits until its time is over: streams have clocks of their own.
    fn poll_time(&self, context: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        if let Course::Ending(by) | Course::Draining(Some(by)) = self.course {
            if sleep.deadline() != by {
                sleep.as_mut().reset(by);
            }
            return sleep.poll(context);
        }
        if !self.streams.is_empty() && !self.gauge.is_in_head() {
            return Poll::Pending;
        }
        self.watch().poll_expired(context, sleep).map(drop)
    }
}
