//! What the two directions of an open WebSocket share: whether it is to end and why, and whether
//! anything may pass meanwhile.
//!
//! They live in two tasks of one thread. Whoever changes something here wakes both.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
};

use tokio::time::Instant;

use crate::{
    answer::Code,
    progress::{Cut, Progress},
    websocket::{GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, PROTOCOL_ERROR},
};

/// Why the gateway ends a WebSocket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// The code of the close frame (RFC 6455 section 7.4).
    pub(super) status: u16,
    /// What it says beside that.
    pub(super) reason: &'static str,
    /// What the access log tells.
    pub(super) code: Option<Code>,
}

impl Closing {
    /// The gateway stops, or nothing moved.
    pub(super) fn going_away(reason: &'static str) -> Self {
        Self { status: GOING_AWAY, reason, code: None }
    }

    /// The caller may not go on.
    pub(super) fn refused(code: Code) -> Self {
        Self { status: POLICY_VIOLATION, reason: code.name(), code: Some(code) }
    }

    /// What is taken cannot be written down.
    pub(super) fn failed(code: Code) -> Self {
        Self { status: INTERNAL_ERROR, reason: code.name(), code: Some(code) }
    }

    /// The client says what is no WebSocket.
    pub(super) fn malformed(reason: &'static str) -> Self {
        Self { status: PROTOCOL_ERROR, reason, code: Some(Code::InvalidRequest) }
    }
}

/// What both directions share.
#[derive(Debug)]
pub(super) struct Link {
    progress: Rc<Progress>,
    closing: Cell<Option<Closing>>,
    is_halted: Cell<bool>,
    up: RefCell<Waker>,
    down: RefCell<Waker>,
}

impl Link {
    pub(super) fn new(progress: Rc<Progress>) -> Self {
        let nobody = || RefCell::new(Waker::noop().clone());
        let (up, down) = (nobody(), nobody());
        Self { progress, closing: Cell::new(None), is_halted: Cell::new(false), up, down }
    }

    /// Ends it. The first reason stays, and has a bounded time to be said.
    pub(super) fn close(&self, closing: Closing) {
        if self.closing.get().is_some() {
            return;
        }
        self.closing.set(Some(closing));
        self.progress.begin_last_word(Instant::now(), Cut::Total);
        self.wake();
    }

    /// Lets nothing pass in either direction until it goes on.
    pub(super) fn halt(&self) {
        self.is_halted.set(true);
    }

    /// Goes on after a halt.
    pub(super) fn go_on(&self) {
        self.is_halted.set(false);
        self.wake();
    }

    /// Gives the reason why it is to end.
    pub(super) fn closing(&self) -> Option<Closing> {
        self.closing.get()
    }

    /// Tells whether nothing may pass for now.
    pub(super) fn is_halted(&self) -> bool {
        self.is_halted.get()
    }

    /// Notes who moves what the client says.
    pub(super) fn follow_up(&self, context: &Context<'_>) {
        self.up.borrow_mut().clone_from(context.waker());
    }

    /// Notes who moves what the upstream says.
    pub(super) fn follow_down(&self, context: &Context<'_>) {
        self.down.borrow_mut().clone_from(context.waker());
    }

    fn wake(&self) {
        self.up.borrow().wake_by_ref();
        self.down.borrow().wake_by_ref();
    }
}
