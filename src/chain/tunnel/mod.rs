//! A WebSocket that is open: its caller must be one who may be served, as long as it lasts, and pays for what
//! it says or for the time, where the route asks for that.
//!
//! What both sides say passes as it is, but for the frames that end it: each is put in between two others.

mod link;
mod meter;
mod toll;

use std::{rc::Rc, task::Context};

use bytes::Bytes;
use tokio::task::AbortHandle;

pub use self::meter::Meter;
use self::{
    link::{Closing, Link},
    toll::{Sum, Toll},
};
use crate::{
    answer::Denial,
    chain::{exchange::Exchange, payer::Payer},
    model::WebSocket,
    progress::LAST_WORD_TIME,
    snapshot::table::Entry,
    upstream::lane::Lane,
    websocket::{self, Frames},
};

/// What is watched of an open WebSocket where the upstream speaks.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// Those of the upstream.
    frames: Frames,
    link: Rc<Link>,
    toll: Rc<Toll>,
    /// Takes what the time costs.
    timekeeper: Option<AbortHandle>,
}

impl Tunnel {
    /// Begins it, with what the client's bytes are to pass.
    pub(super) fn open(exchange: &Exchange, entry: Entry, payer: &Payer) -> (Self, Meter) {
        let rule = entry.route.websocket;
        let link = Rc::new(Link::new(Rc::clone(exchange.progress())));
        let toll = Rc::new(Toll::new(exchange, entry, payer));
        exchange.progress().set_tunnel();
        let mask = exchange.worker().mask();
        let meter = match rule {
            WebSocket::Message => Meter::counting(Rc::clone(&link), Rc::clone(&toll), mask),
            WebSocket::Connection | WebSocket::Off | WebSocket::Time(_) => {
                Meter::passing(Rc::clone(&link), Rc::clone(&toll), mask)
            }
        };
        let timekeeper = match rule {
            WebSocket::Time(stretch) => {
                let keeping = toll::keep_time(Rc::clone(&toll), Rc::clone(&link), stretch);
                Some(tokio::task::spawn_local(keeping).abort_handle())
            }
            WebSocket::Connection | WebSocket::Message | WebSocket::Off => None,
        };
        (Self { frames: Frames::default(), link, toll, timekeeper }, meter)
    }

    /// Follows what the upstream says.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        self.frames.follow(bytes);
    }

    /// Ends it because its caller may not go on.
    pub(super) fn refuse(&self, denial: &Denial) {
        self.link.close(Closing::refused(denial.code()));
    }

    /// Sees whether it is to end for reasons that lie outside it, and notes whom to wake when it is to end
    /// for those that lie within.
    pub(super) fn attend(&self, exchange: &Exchange, context: &Context<'_>) {
        self.link.follow_down(context);
        if exchange.is_stopping() {
            self.link.close(Closing::going_away("shutting down"));
        } else if exchange.progress().last_word().is_some() {
            self.link.close(Closing::going_away("idle timeout"));
        }
    }

    /// Gives the frame that ends it, once it is to end and no frame of the upstream's is begun.
    pub(super) fn last_word(&self) -> Option<Bytes> {
        let Closing { status, reason, code: _ } = self.link.closing()?;
        self.frames.is_between().then(|| websocket::close(status, reason))
    }

    /// Tells whether nothing may pass for now.
    pub(super) fn is_halted(&self) -> bool {
        self.link.is_halted() && self.link.closing().is_none()
    }

    /// Tells whether the gateway ends it.
    pub(super) fn is_closing(&self) -> bool {
        self.link.closing().is_some()
    }

    /// Notes what was charged, and why it ended.
    pub(super) fn tell(&self, exchange: &mut Exchange) {
        let Sum { units, price, shadow } = self.toll.sum();
        exchange.note_units(units, price);
        exchange.note_shadow(shadow);
        if let Some(code) = self.link.closing().and_then(|closing| closing.code) {
            exchange.note_code(code);
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(timekeeper) = &self.timekeeper {
            timekeeper.abort();
        }
    }
}

/// Leaves a connection to an upstream the time to hear why it ends. Its request is over.
pub(super) fn let_go(mut lane: Lane) {
    tokio::task::spawn_local(async move {
        let ended = std::future::poll_fn(|context| {
            loop {
                match std::task::ready!(lane.poll_body(context)) {
                    Some(Ok(_)) => {}
                    None | Some(Err(_)) => return std::task::Poll::Ready(()),
                }
            }
        });
        // Whether it hears it or not.
        let _ = tokio::time::timeout(LAST_WORD_TIME, ended).await;
    });
}
