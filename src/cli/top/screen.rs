//! The terminal: what is drawn on it, the keys pressed at it, and that it is left as it was found.
//!
//! Race: an answer, a key and a signal may come at once. All three are awaited on one thread, and
//! whatever makes the wait end, the terminal is restored by a drop; in a panic, by the hook that
//! `ratatui` sets.

use std::{io, pin::pin, time::Duration};

use anyhow::Context;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{
    ask,
    state::{State, Wish},
    view,
};
use crate::{
    cli::admin::{CallError, Client},
    live::Document,
};

/// How often the picture is drawn when nothing happens, so that the time of silence goes on.
const REDRAW: Duration = Duration::from_millis(500);

/// How long the thread that reads keys waits before it sees whether anybody is there.
const LOOK: Duration = Duration::from_millis(200);

/// Keys that wait to be looked at. Who holds one down does not fill more.
const KEYS_WAITING: usize = 64;

/// A terminal in our hands.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| drop(ratatui::try_restore()))
    }

    fn draw(&mut self, state: &State, now: Duration) -> io::Result<()> {
        let picture = state.picture(now);
        self.0.draw(|frame| view::draw(&picture, frame.area(), frame.buffer_mut()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored, and there is nobody to tell.
        drop(ratatui::try_restore());
    }
}

/// Shows the gateway until who watches leaves, or the gateway refuses to tell.
pub(super) async fn watch(
    client: &Client,
    mut state: State,
    interval: Duration,
) -> anyhow::Result<()> {
    let failed = "a signal handler cannot be installed";
    let mut terminate = signal(SignalKind::terminate()).context(failed)?;
    let mut hangup = signal(SignalKind::hangup()).context(failed)?;
    let mut screen = Screen::take().context("the terminal cannot be used")?;
    let mut keys = keys()?;
    let begun = Instant::now();
    let mut answers = pin!(next(client, begun + interval));
    loop {
        screen.draw(&state, begun.elapsed()).context("the terminal cannot be written")?;
        tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            event = keys.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if state.press(key) == Wish::Leave {
                        return Ok(());
                    }
                }
                Some(_) => {}
                // The terminal is gone.
                None => return Ok(()),
            },
            (asked, answer) = &mut answers => {
                match answer {
                    Ok(document) => state.answer(document, begun.elapsed()),
                    Err(error) if is_passing(&error) => state.fail(),
                    Err(error) => return Err(error.into()),
                }
                answers.set(next(client, asked + interval));
            }
            () = sleep(REDRAW) => {}
        }
    }
}

/// Asks when it is time; tells when that was.
async fn next(client: &Client, at: Instant) -> (Instant, Result<Document, CallError>) {
    sleep_until(at).await;
    // What came late is not made up for.
    let asked = Instant::now();
    (asked, ask(client).await)
}

/// Tells whether a gateway that comes back would answer.
fn is_passing(error: &CallError) -> bool {
    match error {
        CallError::Cut { .. } | CallError::Silent { .. } | CallError::Unreachable { .. } => true,
        CallError::Interrupted | CallError::NotOurs { .. } | CallError::Refused(_) => false,
    }
}

/// Reads keys on a thread of their own, since a terminal can only be waited for by blocking. The thread
/// ends with the receiver.
fn keys() -> io::Result<mpsc::Receiver<Event>> {
    let (sender, receiver) = mpsc::channel(KEYS_WAITING);
    let read = move || {
        while !sender.is_closed() {
            let event = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let Ok(event) = event else { return };
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".into()).spawn(read)?;
    Ok(receiver)
}
