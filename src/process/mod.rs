//! A whole gateway: how it starts, in which order, and how it stops.
//!
//! Order of a start: the listeners first, because a second gateway is most often told by them; then
//! the journal's lock, the replay and the usage known from before; only then is anything served.

mod books;
mod listeners;
mod sharing;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};

use self::{
    listeners::{Addresses, Listeners},
    sharing::Sharing,
};
use crate::{
    admin::{self, token},
    clock::{Clock, Comparison},
    config::{Config, Secret},
    gateway::{self, Gateway, ReloadError},
    journal::{Recovery, ReplayError, Writer},
    keeper::Keeper,
    memory,
    notifications::{Tasks, UsageWatch},
    pay::Cashier,
    provisioning,
    requests::{self, Archive},
    roster::Conflict,
    server::{acceptor, redirect, thread},
    store::OpenError,
    telemetry::{
        Sinks, access_log,
        messages::LevelHandle,
        traces::exporter::{self, Exporter},
    },
    tls,
    upkeep::Upkeep,
    upstream::health::Checkers,
    webhooks::RootsError,
    worker::Stop,
};

/// How often decision time is compared with the wall clock.
const COMPARE: Duration = Duration::from_secs(1);

/// How a gateway is started, beside its configuration.
#[derive(Debug)]
pub struct Options {
    /// The file that a reload reads.
    pub file: Option<PathBuf>,
    /// What changes the level of the program's own messages; `None` where they are not the gateway's.
    pub level: Option<LevelHandle>,
    /// The source of decision time.
    pub clock: Clock,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file of the access log.
    #[error("the access log cannot be opened")]
    AccessLog(#[source] io::Error),
    /// The file and the store have the same things, or the file lacks what the store needs.
    #[error("the configuration and the store do not agree: {}", gateway::list(.0))]
    Conflicts(Vec<Conflict>),
    /// The database.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] ReplayError),
    /// A listener.
    #[error(
        "{key} = \"{address}\": the address cannot be listened on; is another gateway running?"
    )]
    Listen {
        /// The key in the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// What is stored cannot be read.
    #[error("the usage known from before cannot be read")]
    Store(#[from] crate::store::StoreError),
    /// Who sends webhooks.
    #[error(transparent)]
    Webhooks(#[from] RootsError),
    /// A thread or a runtime.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
    /// The admin token.
    #[error("the admin token {path} cannot be read or made")]
    Token {
        /// Its file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    gateway: Arc<Gateway>,
    addresses: Addresses,
    admin_token: Arc<Secret>,
    stop: watch::Sender<Stop>,
    /// Told nothing; it closes when the control thread ends.
    ended: mpsc::Receiver<()>,
    control: JoinHandle<()>,
    keeper: Arc<Keeper>,
    shared: Option<Sharing>,
    log: access_log::Writer,
    requests: requests::Writer,
    exporter: Exporter,
    recovery: Recovery,
}

/// Starts a gateway. When this returns it serves.
pub fn start(config: &Config, options: Options) -> Result<Running, StartError> {
    let Options { file, level, clock } = options;
    let (listeners, addresses) = Listeners::open(config)?;
    let (lines, log) = access_log::start(&config.log.access, config.log.access_format)
        .map_err(StartError::AccessLog)?;
    let clock = Arc::new(clock);
    let books = books::open(config, clock.now())?;
    let admin_token = Arc::new(admin_token(config)?);
    let gateway = Gateway::new(config, file, books.ledger, Arc::clone(&clock));
    let gateway = Arc::new(match level {
        Some(level) => gateway.with_level(level),
        None => gateway,
    });
    gateway.metrics().watch_lines_dropped(log.dropped());
    let reader = books.store.reader()?;
    provisioning::load(&gateway, &*reader).map_err(|error| books.store.named(error))?;
    gateway.check_declared().map_err(StartError::Conflicts)?;
    let outbox_reader = books.store.reader()?;
    let watch = UsageWatch::new(Arc::clone(&gateway));
    let keeper = Keeper::start(books.follower, books.store, clock, Some(Box::new(watch)));
    let keeper = Arc::new(keeper.map_err(StartError::Thread)?);
    let (stop, stopping) = watch::channel(Stop::No);
    let exporting = exporter::start(Arc::clone(&gateway)).map_err(StartError::Thread)?;
    let (records, exporter) = exporting;
    let archive = config.store.journal.join("requests");
    let writing = requests::start(Arc::clone(&gateway), archive.clone());
    let (recent, requests) = writing.map_err(StartError::Thread)?;
    gateway.metrics().watch_records_dropped(requests.dropped());
    let sinks = Sinks { lines, requests: Some(recent), records: Some(records) };
    let shared = books.shared.map(|shared| Sharing::start(shared, &gateway, &books.membership));
    let shared = shared.transpose().map_err(StartError::Thread)?;
    let workers = start_workers(books.writers, &gateway, &sinks, &stopping);
    // The last one is a worker's, so that the log and the exporter end with the workers.
    drop(sinks);
    let admin = admin::State::new(admin::Parts {
        gateway: Arc::clone(&gateway),
        token: &admin_token,
        read_token: config.admin.read_token.as_ref(),
        hosts: &config.admin.hosts,
        keeper: Arc::clone(&keeper),
        reader,
        database: &config.store.database,
        requests: Archive::new(archive),
        node: admin::Node {
            membership: Arc::clone(&books.membership),
            started_at: gateway.clock().now(),
        },
        stop: stopping.clone(),
    });
    let tasks = Tasks::new(&gateway, &keeper, &books.membership, outbox_reader)?;
    let (cashier, till) = Cashier::new(&gateway, &keeper)?;
    gateway.take_payments(till);
    let control = Control {
        listeners,
        upkeep: Upkeep::new(Arc::clone(&gateway), Arc::clone(&keeper), books.membership),
        tasks,
        cashier,
        admin,
        workers: workers.map_err(StartError::Thread)?,
        gateway: Arc::clone(&gateway),
        stopping,
    };
    let (control, ended) = control.start().map_err(StartError::Thread)?;
    Ok(Running {
        gateway,
        addresses,
        admin_token,
        stop,
        ended,
        control,
        keeper,
        shared,
        log,
        requests,
        exporter,
        recovery: books.recovery,
    })
}

fn start_workers(
    writers: Vec<Writer>,
    gateway: &Arc<Gateway>,
    sinks: &Sinks,
    stopping: &watch::Receiver<Stop>,
) -> io::Result<Vec<thread::Handle>> {
    let start_one = |(index, writer)| {
        thread::start(index, Arc::clone(gateway), writer, sinks.clone(), stopping.clone())
    };
    writers.into_iter().enumerate().map(start_one).collect()
}

/// What the control thread runs beside the workers: accepting, the admin listener, the clock.
struct Control {
    listeners: Listeners,
    admin: admin::State,
    tasks: Tasks,
    cashier: Cashier,
    upkeep: Upkeep,
    workers: Vec<thread::Handle>,
    gateway: Arc<Gateway>,
    stopping: watch::Receiver<Stop>,
}

impl Control {
    /// Starts the thread. The receiver closes when it ends.
    fn start(self) -> io::Result<(JoinHandle<()>, mpsc::Receiver<()>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ending, ended) = mpsc::channel();
        let run = move || {
            runtime.block_on(self.run());
            drop(ending);
        };
        let thread = std::thread::Builder::new().name("control".into()).spawn(run)?;
        Ok((thread, ended))
    }

    /// Runs until a stop is asked for and every worker has ended.
    async fn run(self) {
        let Self {
            listeners: Listeners { data, redirects, admin: admin_listener },
            admin,
            tasks,
            cashier,
            upkeep,
            workers,
            gateway,
            stopping,
        } = self;
        let admin = tokio::spawn(admin::serve(admin_listener, admin));
        let telling = tokio::spawn(tasks.run(stopping.clone()));
        let (workers_ended, no_more) = watch::channel(false);
        let settling = tokio::spawn(cashier.run(no_more));
        let keeping = tokio::spawn(upkeep.run(stopping.clone()));
        let mut redirecting = JoinSet::new();
        for (listener, port) in redirects {
            redirecting.spawn(redirect::serve(listener, Arc::clone(&gateway), port));
        }
        let checking = tokio::spawn(Checkers::new(Arc::clone(&gateway)).run(stopping.clone()));
        let reloading = tokio::spawn(Arc::clone(&gateway).reload_on_change());
        let watching = tokio::spawn(memory::watch(Arc::clone(&gateway)));
        let renewing = tokio::spawn(tls::watch(Arc::clone(&gateway)));
        let clock = gateway.shared_clock();
        let comparing = tokio::spawn(async move { compare(&clock).await });
        acceptor::accept(data, &workers, &gateway, &stopping).await;
        drop(redirecting);
        // Health is told while what is in flight ends.
        let ends = move || workers.into_iter().for_each(thread::Handle::join);
        let _ = tokio::task::spawn_blocking(ends).await;
        workers_ended.send_replace(true);
        // They have hold of the keeper, and end by themselves.
        let _ = settling.await;
        let _ = telling.await;
        let _ = keeping.await;
        let _ = checking.await;
        reloading.abort();
        watching.abort();
        renewing.abort();
        comparing.abort();
        admin.abort();
    }
}

impl Running {
    /// Stops: what was accepted is answered within the drain time, everything is settled and stored.
    pub fn stop(self) {
        let drain = self.gateway.snapshot().server.drain_timeout;
        self.stop.send_replace(Stop::Drain);
        if self.ended.recv_timeout(drain) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("drain time is over, open requests are cut");
            self.stop.send_replace(Stop::Now);
        }
        if self.control.join().is_err() {
            tracing::error!("the control thread ended by a panic");
        }
        // Nothing is in flight any more, so the others can have what is left before the rest is stored.
        let nodes = self.shared.map(Sharing::give_back);
        self.log.join();
        self.requests.join();
        self.exporter.join();
        // The last one to hold the keeper is this one: the admin listener is gone.
        if let Some(keeper) = Arc::into_inner(self.keeper)
            && let Err(error) = keeper.stop()
        {
            tracing::error!(%error, "the last usage stays in the journal until the next start");
        }
        if let Some(nodes) = nodes {
            nodes.stop();
        }
    }

    /// Gives what ends a stop before its time.
    pub fn cutter(&self) -> Cutter {
        Cutter(self.stop.clone())
    }

    /// Reads the configuration again.
    pub fn reload(&self) -> Result<(), ReloadError> {
        self.gateway.reload()
    }

    /// Opens the file of the access log anew, after another program has renamed it.
    pub fn reopen_log(&self) {
        self.log.reopen();
    }

    /// Gives the address of the data listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses.first
    }

    /// Gives the addresses of `[[server.listeners]]`.
    pub fn further_addresses(&self) -> &[SocketAddr] {
        &self.addresses.further
    }

    /// Gives the addresses of those that send their callers to TLS, in the order of the listeners.
    pub fn redirect_addresses(&self) -> &[SocketAddr] {
        &self.addresses.redirects
    }

    /// Gives the address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// Gives the admin token.
    pub fn admin_token(&self) -> &Secret {
        &self.admin_token
    }

    /// Gives what all threads share.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Gives the thread that has the store.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Gives what the start found in the journal.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }
}

/// Ends a stop before its time.
#[derive(Clone, Debug)]
pub struct Cutter(watch::Sender<Stop>);

impl Cutter {
    /// Cuts requests that are in flight still.
    pub fn cut(&self) {
        tracing::warn!("asked to stop once more, open requests are cut");
        self.0.send_replace(Stop::Now);
    }
}

async fn compare(clock: &Clock) {
    let mut doubted = false;
    loop {
        tokio::time::sleep(COMPARE).await;
        match clock.compare() {
            Comparison::Agrees => doubted = false,
            Comparison::Believed { ahead_seconds } => {
                doubted = false;
                tracing::warn!(ahead_seconds, "wall clock stepped and is now believed");
            }
            Comparison::Doubted { ahead_seconds } if !doubted => {
                doubted = true;
                tracing::error!(ahead_seconds, "wall clock stepped, not believed for ten minutes");
            }
            Comparison::Doubted { .. } => {}
        }
    }
}

/// Gives the configured token, or the one in the journal directory, made at first start.
fn admin_token(config: &Config) -> Result<Secret, StartError> {
    if let Some(token) = &config.admin.token {
        return Ok(token.clone());
    }
    let path = token::path(&config.store.journal);
    token::read_or_make(&path).map_err(|source| StartError::Token { path, source })
}
