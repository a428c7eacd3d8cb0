//! How many of the calls that take long run at once.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// The calls that take long. Who comes when all places are taken is refused rather than kept
/// waiting.
#[derive(Clone, Debug)]
pub(super) struct Gates {
    backups: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    reports: Arc<Semaphore>,
}

/// A copy takes as much disk as the store, once.
const BACKUPS_MAX: usize = 1;

/// Together they leave room in the store's queue; see `IN_FLIGHT_MAX` in `import`.
const IMPORTS_MAX: usize = 2;

/// Each has a thread and a connection to the store.
const REPORTS_MAX: usize = 8;

impl Default for Gates {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            backups: places(BACKUPS_MAX),
            imports: places(IMPORTS_MAX),
            reports: places(REPORTS_MAX),
        }
    }
}

impl Gates {
    pub(super) fn backup(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let detail = "A backup is being made; try again when it is done.";
        enter(&self.backups, "backup_running", detail)
    }

    pub(super) fn import(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let detail = "Two imports are running; try again when one of them is done.";
        enter(&self.imports, "import_running", detail)
    }

    pub(super) fn report(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let detail = "Eight reports are being made; try again when one of them is done.";
        enter(&self.reports, "report_running", detail)
    }
}

fn enter(
    places: &Arc<Semaphore>,
    code: &'static str,
    detail: &'static str,
) -> Result<OwnedSemaphorePermit, Problem> {
    let entered = Arc::clone(places).try_acquire_owned();
    entered.map_err(|_| Problem::new(StatusCode::CONFLICT, code, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_backup_at_a_time() {
        let gates = Gates::default();
        let place = gates.backup().unwrap();
        let refused = serde_json::to_value(gates.backup().unwrap_err()).unwrap();
        assert_eq!((&refused["status"], &refused["code"]), (&409.into(), &"backup_running".into()));
        drop(place);
        assert!(gates.backup().is_ok());
    }
}
