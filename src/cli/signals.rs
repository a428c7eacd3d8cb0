//! The signals that end a gateway or let it reload.

use anyhow::Context;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::process::{Cutter, Running};

/// Installed handlers. A signal that comes before [`Signals::wait`] is kept for it: whoever was told
/// that the gateway is ready may end it at once.
pub(super) struct Signals {
    runtime: Runtime,
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from the system's default, which would end the process on the spot.
    pub(super) fn install() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let installed = {
            let _entered = runtime.enter();
            [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()].map(signal)
        };
        let [hangup, interrupt, terminate] = installed;
        let failed = "a signal handler cannot be installed";
        Ok(Self {
            hangup: hangup.context(failed)?,
            interrupt: interrupt.context(failed)?,
            terminate: terminate.context(failed)?,
            runtime,
        })
    }

    /// Waits for SIGINT or SIGTERM. Meanwhile SIGHUP reloads, and opens the access log anew.
    pub(super) fn wait(&mut self, running: &Running) {
        let Self { runtime, hangup, interrupt, terminate } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => return,
                    _ = terminate.recv() => return,
                    _ = hangup.recv() => {
                        running.reopen_log();
                        // Success and failure are both logged by the reload itself.
                        let _ = running.reload();
                    }
                }
            }
        });
    }

    /// Lets a second SIGINT or SIGTERM end a stop at once.
    pub(super) fn cut_by_the_next(self, cutter: Cutter) {
        let Self { runtime, hangup: _, mut interrupt, mut terminate } = self;
        // It waits until the process ends, which waits for nobody.
        let wait = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            cutter.cut();
        };
        if let Err(error) = std::thread::Builder::new().name("signals".into()).spawn(wait) {
            tracing::warn!(%error, "a second signal will not end the stop");
        }
    }
}
