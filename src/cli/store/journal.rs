//! What of the store lies in the journal still.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{
    journal::{Journal, Recovery},
    store::{NodeId, Sqlite},
};

/// Gives the directory where the configuration names none.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut journal = file.to_owned().into_os_string();
    journal.push(".journal");
    journal.into()
}

/// What the store is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A backup, whose journal went on with another store. It gets a new one, as by the first start on it.
    Backup,
    /// That of a gateway, with its journal.
    Store,
}

/// Brings what a crash left in the journal into the store, and charges what was open, as a start does. Gives the
/// journal, whose lock it has; `None` for a store without one, on which no request was ever counted.
pub(super) fn fold(
    journal: &Path,
    file: &Path,
    kind: Kind,
    store: &mut Sqlite,
) -> anyhow::Result<Option<Journal>> {
    let nodes = store.nodes()?;
    match (Journal::has_owner(journal), kind) {
        (true, _) => check(journal, file, &nodes)?,
        (false, Kind::Backup) => {}
        (false, Kind::Store) if nodes.is_empty() => return Ok(None),
        (false, Kind::Store) => bail!(
            "the journal directory {} is not there; name it with --journal, or give --from-backup if {} is a backup",
            journal.display(),
            file.display()
        ),
    }
    let opened = Journal::open(journal, store);
    let (journal, recovery) = opened.context("the journal cannot be brought into the store")?;
    report(&recovery);
    Ok(Some(journal))
}

/// Fails for a journal of which something would be brought into another store than its own.
fn check(journal: &Path, file: &Path, nodes: &[NodeId]) -> anyhow::Result<()> {
    let (node, has_segments) = Journal::look(journal)?;
    if has_segments && !nodes.is_empty() && !nodes.contains(&node) {
        bail!(
            "the journal directory {} belongs to another store; name the right one with --journal. If it is the right \
             one, start and stop the gateway once on {}",
            journal.display(),
            file.display()
        );
    }
    Ok(())
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
