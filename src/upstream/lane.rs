//! The way on which one request goes up: a connection of its own, or a share of one.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use crate::{
    chain::tunnel::Meter,
    telemetry::metrics::upstreams::Endpoint as Figures,
    upstream::{
        connection::Connection,
        gate::Permit,
        http1::{ExchangeError, Head, Outgoing},
        http2::Stream,
        standing::InFlight,
    },
};

/// The way on which one request goes up.
#[derive(Debug)]
pub enum Lane {
    /// A connection that speaks HTTP/1.1, all of it.
    Http1(Connection),
    /// A stream of one that speaks HTTP/2.
    Http2(Box<Stream>),
}

impl Lane {
    /// Makes it one of those that are counted, until it is closed.
    pub fn set_permit(&mut self, permit: Option<Permit>) {
        match self {
            Self::Http1(connection) => connection.set_permit(permit),
            Self::Http2(stream) => stream.set_permit(permit),
        }
    }

    /// Keeps the count of the request that uses it, until that is over.
    pub fn hold(&mut self, in_flight: Option<InFlight>) {
        match self {
            Self::Http1(connection) => connection.hold(in_flight),
            Self::Http2(stream) => stream.hold(in_flight),
        }
    }

    /// Sends a request and waits for the head of its answer. A request of which nothing was sent may
    /// be given to another one after an error.
    pub async fn exchange(&mut self, request: &mut Outgoing) -> Result<Head, ExchangeError> {
        match self {
            Self::Http1(connection) => connection.exchange(request).await,
            Self::Http2(stream) => stream.exchange(request).await,
        }
    }

    /// Takes the next frame of the answer's body.
    pub fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        match self {
            Self::Http1(connection) => connection.poll_body(context),
            Self::Http2(stream) => stream.poll_body(context),
        }
    }

    /// Tells whether the answer's body was taken to its end.
    pub fn is_body_over(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_body_over(),
            Self::Http2(stream) => stream.is_body_over(),
        }
    }

    /// Gives how long the rest of the answer's body is, where that is known.
    pub fn body_left(&self) -> Option<u64> {
        match self {
            Self::Http1(connection) => connection.body_left(),
            Self::Http2(stream) => stream.body_left(),
        }
    }

    /// Lets what is left of a request go on by itself.
    pub fn detach(&mut self, request: Outgoing) {
        match self {
            Self::Http1(connection) => connection.detach(request),
            Self::Http2(stream) => stream.detach(request),
        }
    }

    /// Passes on what both sides say from here on, after an answer that switches to another protocol. There is
    /// none by HTTP/2.
    pub fn switch(&mut self, request: Outgoing, meter: Meter) {
        if let Self::Http1(connection) = self {
            connection.switch(request, meter);
        }
    }

    /// Gives what is counted of its endpoint.
    pub fn figures(&self) -> &Figures {
        match self {
            Self::Http1(connection) => connection.figures(),
            Self::Http2(stream) => stream.figures(),
        }
    }

    /// Tells whether a byte of the answer came.
    pub fn is_heard(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_heard(),
            Self::Http2(stream) => stream.is_heard(),
        }
    }

    /// Tells whether its connection was open before.
    pub fn is_reused(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_reused(),
            Self::Http2(stream) => stream.is_reused(),
        }
    }
}
