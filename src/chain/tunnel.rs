//! A WebSocket that is open: its caller must be one who may be served, as long as it lasts.
//!
//! What both sides say passes as it is, but for the frame that ends it: that is put in between two of
//! the upstream's.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use crate::{
    chain::exchange::Exchange,
    websocket::{self, Frames, GOING_AWAY, POLICY_VIOLATION},
};

/// How often the caller is looked at: a key that is revoked, a subscription that has ended ends it as soon.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// What is watched of an open WebSocket.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// Those of the upstream.
    frames: Frames,
    look: Pin<Box<Sleep>>,
    /// The frame that ends it, as soon as it can be put in.
    last: Option<Bytes>,
}

impl Tunnel {
    pub(super) fn new() -> Self {
        let look = Box::pin(tokio::time::sleep(LOOK_PERIOD));
        Self { frames: Frames::default(), look, last: None }
    }

    /// Follows what the upstream says.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        self.frames.follow(bytes);
    }

    /// Gives the frame that ends it, once it is to end and no frame of the upstream's is begun.
    pub(super) fn poll_last(
        &mut self,
        exchange: &Exchange,
        context: &mut Context<'_>,
    ) -> Option<Bytes> {
        if self.last.is_none() && exchange.is_stopping() {
            self.last = Some(websocket::close(GOING_AWAY, "shutting down"));
        }
        while self.last.is_none() && self.look.as_mut().poll(context) == Poll::Ready(()) {
            self.look.as_mut().reset(Instant::now() + LOOK_PERIOD);
            let denial = exchange.may_go_on().err();
            self.last =
                denial.map(|denial| websocket::close(POLICY_VIOLATION, denial.code().name()));
        }
        self.last.take_if(|_| self.frames.is_between())
    }
}
