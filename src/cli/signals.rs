//! The signals that end a gateway or let it reload.

use anyhow::Context;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::process::Running;

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
    pub(super) fn wait(self, running: &Running) {
        let Self { runtime, mut hangup, mut interrupt, mut terminate } = self;
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
}
