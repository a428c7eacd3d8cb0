//! What of the store lies in the journal still.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{
    journal::{Journal, Recovery},
    store::Sqlite,
};

/// Gives the directory where the configuration names none.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut journal = file.to_owned().into_os_string();
    journal.push(".journal");
    journal.into()
}

/// Brings what a crash left in the journal into the store, and charges what was open, as a start does. Gives the
/// journal, whose lock it has; `None` for a store without one, on which no request was ever counted.
pub(super) fn fold(
    journal: &Path,
    file: &Path,
    store: &mut Sqlite,
) -> anyhow::Result<Option<Journal>> {
    let nodes = store.nodes()?;
    let start = format!("start and stop the gateway once on {}", file.display());
    if !Journal::has_owner(journal) {
        if nodes.is_empty() {
            return Ok(None);
        }
        bail!(
            "the journal directory {} is not there; name it with --journal, or {start} if it is gone",
            journal.display()
        );
    }
    let (node, has_segments) = Journal::look(journal)?;
    if has_segments && !nodes.is_empty() && !nodes.contains(&node) {
        bail!(
            "the journal directory {} belongs to another store; name the right one with --journal, or {start} if it is \
             the right one",
            journal.display()
        );
    }
    let opened = Journal::open(journal, store);
    let (journal, recovery) = opened.context("the journal cannot be brought into the store")?;
    report(&recovery);
    Ok(Some(journal))
}

fn report(recovery: &Recovery) {
    let Recovery { segments, settled, orphans, unknown, unknown_units, torn } = recovery;
    if *segments > 0 || *unknown > 0 {
        eprintln!(
            "the journal of the last run was brought into the store: {settled} requests that had ended, and {unknown} \
             that had not, which are charged in full ({unknown_units} units)"
        );
    }
    if *orphans > 0 {
        eprintln!("{orphans} endings without a reservation: a database or a segment was lost");
    }
    if !torn.is_empty() {
        eprintln!(
            "{} appends were cut short by a crash; nothing was forwarded on them",
            torn.len()
        );
    }
}
