//! What all threads share: the snapshot, the ledger, the clock; and how a reload replaces the first.

mod fixed;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use self::fixed::Fixed;
use crate::{
    clock::Clock,
    config::{self, Config, LoadError, Purpose, Report, Server},
    guesses::Guesses,
    ledger::Ledger,
    memory::Memory,
    model::Upstream,
    nodes::Writing,
    notifications::Notifications,
    pay::Till,
    provisioning::Corrections,
    roster::{Conflict, Live, Lookup},
    server::addresses::Addresses,
    snapshot::Snapshot,
    stamp::Stamp,
    telemetry::{messages::LevelHandle, metrics::Metrics, traces::Counters},
    upstream::tls::Tls,
};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What all threads share.
#[derive(Debug)]
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    live: Live,
    ledger: Ledger,
    corrections: Arc<Corrections>,
    clock: Arc<Clock>,
    /// Nothing else is published by it, so relaxed order will do.
    enforcing: AtomicBool,
    writing: Writing,
    guesses: Guesses,
    addresses: Arc<Addresses>,
    memory: Memory,
    metrics: Metrics,
    notifications: Notifications,
    level: LevelHandle,
    span_counters: Arc<Counters>,
    file: Option<PathBuf>,
    fixed: Fixed,
    /// Places for handshakes that are under way.
    handshakes: Semaphore,
    /// Where payments are brought, once somebody takes them.
    till: OnceLock<Till>,
    /// Told at each reload that puts a snapshot in force.
    reloaded: watch::Sender<()>,
    /// The state of the files that were read last. Held during a reload, so that the last one that was
    /// asked for is the one in force.
    read: Mutex<Read>,
}

/// The state of the files that a configuration was read from: its own first, then those of certificates.
type Read = Vec<Option<Stamp>>;

/// Looks at the files.
fn look(file: &Path, others: &[PathBuf]) -> Read {
    std::iter::once(file).chain(others.iter().map(PathBuf::as_path)).map(Stamp::of).collect()
}

/// Why a reload left everything as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file and the store have the same things, or the file lacks what the store needs.
    #[error("the configuration was not reloaded: {}", list(.0))]
    Conflicts(Vec<Conflict>),
    /// The file has mistakes.
    #[error("the configuration was not reloaded: {}", .0.summary(Purpose::Run))]
    Invalid(Report),
    /// The gateway runs without a file.
    #[error("the gateway was started without a configuration file, there is nothing to reload")]
    NoFile,
    /// The file cannot be read.
    #[error("the configuration was not reloaded: {0}")]
    Unreadable(#[from] LoadError),
    /// Something changed that is read at start only.
    #[error("the configuration was not reloaded: {0} changed, which needs a restart")]
    NeedsRestart(&'static str),
}

/// Lists some conflicts; whoever mends these sees the next ones.
pub(crate) fn list(conflicts: &[Conflict]) -> String {
    const SHOWN: usize = 10;
    let mut text: Vec<_> = conflicts.iter().take(SHOWN).map(ToString::to_string).collect();
    if let Some(more) = conflicts.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push(format!("and {more} more"));
    }
    text.join("; ")
}

/// Gives the files of certificates that a configuration was read from, beside its own.
fn files(server: &Server, upstreams: &[Arc<Upstream>]) -> Vec<PathBuf> {
    let shown = server.spoken().filter_map(|(tls, _)| tls).flat_map(|tls| tls.ready.files());
    let upstreams = upstreams.iter().filter_map(|upstream| upstream.tls.as_deref());
    shown.chain(upstreams.flat_map(Tls::files)).cloned().collect()
}

impl Gateway {
    /// Makes the shared state of a checked configuration; `file` is what a reload reads.
    pub fn new(config: &Config, file: Option<PathBuf>, ledger: Ledger, clock: Arc<Clock>) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(Snapshot::new(config)),
            live: Live::default(),
            ledger,
            corrections: Arc::default(),
            clock,
            enforcing: AtomicBool::new(true),
            writing: Writing::default(),
            guesses: Guesses::default(),
            addresses: Arc::default(),
            memory: Memory::default(),
            metrics: Metrics::default(),
            notifications: Notifications::default(),
            level: LevelHandle::detached(config.log.level.clone()),
            span_counters: Arc::default(),
            reloaded: watch::Sender::default(),
            read: Mutex::new(
                file.as_deref()
                    .map(|file| look(file, &files(&config.server, &config.upstreams)))
                    .unwrap_or_default(),
            ),
            file,
            handshakes: Semaphore::new(config.server.limits.handshakes),
            till: OnceLock::new(),
            fixed: Fixed::of(config),
        }
    }

    /// Lets it change the level of the program's own messages.
    pub fn with_level(self, level: LevelHandle) -> Self {
        Self { level, ..self }
    }

    /// Reads the file again, checks it whole and swaps it in; on any mistake nothing changes.
    /// Requests in flight end under the snapshot they began with.
    pub fn reload(&self) -> Result<(), ReloadError> {
        let file = self.file.as_deref().ok_or(ReloadError::NoFile)?;
        let result = self.reload_from(file);
        self.metrics.count_reload(result.is_ok());
        match &result {
            Ok(()) => tracing::info!(file = %file.display(), "configuration reloaded"),
            Err(error) => {
                tracing::error!(%error, "the configuration before stays in force");
            }
        }
        result
    }

    fn reload_from(&self, file: &Path) -> Result<(), ReloadError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Before they are read: a change meanwhile is then seen as one.
        *read = look(file, &self.watched());
        let config = config::load(file)?.into_config().map_err(ReloadError::Invalid)?;
        if let Some(key) = self.fixed.differs(&Fixed::of(&config)) {
            return Err(ReloadError::NeedsRestart(key));
        }
        // Where it names others, nothing is known of them from before.
        let named = files(&config.server, &config.upstreams);
        if named != self.watched() {
            *read = look(file, &named);
        }
        self.declare(Snapshot::new(&config)).map_err(ReloadError::Conflicts)?;
        self.level.configure(&config.log.level);
        Ok(())
    }

    /// Checks at start that the file and the store do not have the same things, and that the file has
    /// the plans that the store needs.
    pub fn check_declared(&self) -> Result<(), Vec<Conflict>> {
        let snapshot = self.snapshot();
        let plan = |id: &str| snapshot.plan(id).is_some();
        self.live.declare(&snapshot.declared, &plan, || ())
    }

    /// Puts a snapshot in force, unless something in it conflicts with what is stored.
    fn declare(&self, snapshot: Snapshot) -> Result<(), Vec<Conflict>> {
        let snapshot = Arc::new(snapshot);
        let plan = |id: &str| snapshot.plan(id).is_some();
        let swap = || {
            self.snapshot.store(Arc::clone(&snapshot));
            self.reloaded.send_replace(());
        };
        self.live.declare(&snapshot.declared, &plan, swap)
    }

    /// Gives the signal that another snapshot is in force.
    pub fn reloaded(&self) -> watch::Receiver<()> {
        self.reloaded.subscribe()
    }

    /// Gives the files that are looked at beside the configuration's own.
    fn watched(&self) -> Vec<PathBuf> {
        let snapshot = self.snapshot();
        files(&snapshot.server, &snapshot.upstreams)
    }

    /// Reads the file again whenever it or a certificate has changed, and until then does nothing. It
    /// never ends by itself.
    pub async fn reload_on_change(self: Arc<Self>) {
        let Some(file) = self.file.clone() else { return };
        let mut last = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Some(look(&file, &self.watched()));
            let is_there = now.iter().flatten().all(Option::is_some);
            let is_new =
                now.as_ref() != Some(&*self.read.lock().unwrap_or_else(PoisonError::into_inner));
            // A file that is not there is on its way, one that still changes is being written.
            if is_there && is_new && now == last {
                let gateway = Arc::clone(&self);
                // Success and failure are both logged by the reload itself.
                let _ = tokio::task::spawn_blocking(move || gateway.reload()).await;
            }
            last = now;
        }
    }

    /// Sets whether requests are refused at all. From the next request on a gateway that does not
    /// enforce treats every route as if it had `enforce = false`; a reload does not change it.
    pub fn set_enforcing(&self, enforcing: bool) {
        self.enforcing.store(enforcing, Ordering::Relaxed);
    }

    /// Tells whether requests are refused at all.
    pub fn enforcing(&self) -> bool {
        self.enforcing.load(Ordering::Relaxed)
    }

    /// Gives the snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Looks at the snapshot in force, for less than [`Gateway::snapshot`] costs.
    pub fn look<T>(&self, look: impl FnOnce(&Arc<Snapshot>) -> T) -> T {
        look(&self.snapshot.load())
    }

    /// Gives what finding a caller takes, under this snapshot and at this time.
    pub fn lookup<'a>(&'a self, snapshot: &'a Snapshot, now: Timestamp) -> Lookup<'a> {
        Lookup { snapshot, live: &self.live, ledger: &self.ledger, now }
    }

    /// Gives the customers and keys made at run time.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Gives the ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Gives the corrections that the ledger does not have yet.
    pub fn corrections(&self) -> &Arc<Corrections> {
        &self.corrections
    }

    /// Gives the right to write what is known of customers and keys.
    pub fn writing(&self) -> &Writing {
        &self.writing
    }

    /// Gives the failed keys of all addresses.
    pub fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    /// Gives the open client connections by address.
    pub fn addresses(&self) -> &Arc<Addresses> {
        &self.addresses
    }

    /// Gives what is known of the memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Gives what is counted for monitoring.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Gives how many client connections may be open.
    pub fn connections_max(&self) -> usize {
        self.fixed.connections
    }

    /// Gives the places for TLS handshakes that are under way.
    pub fn handshakes(&self) -> &Semaphore {
        &self.handshakes
    }

    /// Gives where payments are brought; `None` while nobody takes them.
    pub(crate) fn till(&self) -> Option<&Till> {
        self.till.get()
    }

    /// Lets payments be brought.
    pub(crate) fn take_payments(&self, till: Till) {
        // A gateway starts once.
        let _ = self.till.set(till);
    }

    /// Gives what is told by webhook, and to whom.
    pub fn notifications(&self) -> &Notifications {
        &self.notifications
    }

    /// Gives the level of the program's own messages.
    pub fn level(&self) -> &LevelHandle {
        &self.level
    }

    /// Gives how many spans went where.
    pub fn span_counters(&self) -> &Arc<Counters> {
        &self.span_counters
    }

    /// Gives the configuration file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Gives the source of decision time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Gives the same, to keep.
    pub fn shared_clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }
}
