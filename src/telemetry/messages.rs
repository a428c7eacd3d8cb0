//! The gateway's own messages on standard error, and their level, which changes while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::{
    Registry, filter::Targets, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use crate::telemetry::level::Level;

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Readable by people.
    #[default]
    Text,
}

/// The level in force, for all who may change it.
#[derive(Clone, Debug)]
pub struct LevelHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// `None` where the program's messages are not ours to write.
    filter: Option<reload::Handle<Targets, Registry>>,
}

#[derive(Debug)]
struct State {
    current: Level,
    /// What the file says.
    configured: Level,
}

impl LevelHandle {
    /// Makes a handle for a program that writes messages itself, or not at all: a level that is set is
    /// remembered and nothing more.
    pub fn detached(configured: Level) -> Self {
        Self::new(configured.clone(), configured, None)
    }

    fn new(
        current: Level,
        configured: Level,
        filter: Option<reload::Handle<Targets, Registry>>,
    ) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(State { current, configured }), filter }))
    }

    /// Gives the level in force.
    pub fn current(&self) -> Level {
        self.state().current.clone()
    }

    /// Gives the level of the file.
    pub fn configured(&self) -> Level {
        self.state().configured.clone()
    }

    /// Sets the level until the file has another one, or to the end of the program.
    pub fn set(&self, level: Level) {
        self.apply(&mut self.state(), level);
    }

    /// Takes over the file's level, if it is another than the file had before: a reload for something
    /// else leaves a level that was set by hand.
    pub fn configure(&self, level: &Level) {
        let mut state = self.state();
        if state.configured != *level {
            state.configured = level.clone();
            self.apply(&mut state, level.clone());
        }
    }

    fn apply(&self, state: &mut State, level: Level) {
        if let Some(filter) = &self.0.filter {
            // An error means that the subscriber is gone, and with it every message.
            let _ = filter.reload(level.targets());
        }
        state.current = level;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the gateway's own messages to standard error. `overriding` stands before the file's level
/// until that changes.
pub fn to_stderr(configured: &Level, overriding: Option<Level>, format: Format) -> LevelHandle {
    let level = overriding.unwrap_or_else(|| configured.clone());
    // The bridge from the crates that write by `log` keeps for ever the most that the first filter
    // lets through, so the first one lets through all that could be asked for later.
    let (filter, handle) = reload::Layer::new(Level::widest());
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second call, as in tests, keeps the first.
    let installed = match format {
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            registry.with(lines.with_span_list(false)).try_init()
        }
        Format::Text => registry.with(lines).try_init(),
    };
    if format == Format::Json && installed.is_ok() {
        panics_as_messages();
    }
    let handle = LevelHandle::new(level.clone(), configured.clone(), Some(handle));
    handle.set(level);
    handle
}

/// Lets panics be messages, so that every line is a JSON object.
fn panics_as_messages() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let reason = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => Some(backtrace.to_string()),
            _ => None,
        };
        tracing::error!(thread, location, reason, backtrace, "a thread panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_set_by_hand_stays_until_the_file_has_another() {
        let level = |text: &str| Level::parse(text).unwrap();
        let handle = LevelHandle::detached(level("info"));
        handle.set(level("debug"));
        assert_eq!((handle.current(), handle.configured()), (level("debug"), level("info")));
        handle.configure(&level("info"));
        assert_eq!(handle.current(), level("debug"));
        handle.configure(&level("warn"));
        assert_eq!((handle.current(), handle.configured()), (level("warn"), level("warn")));
    }
}
