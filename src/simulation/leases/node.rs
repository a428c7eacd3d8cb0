//! A node: its processes, and what is left of each.

use std::{collections::BTreeMap, time::Duration};

use crate::ledger::lease::Holder;

/// A node's identity, and its directory.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: u128,
    pub(super) run: u32,
    pub(super) process: Option<Process>,
    /// What the journal has of the present process, by window.
    pub(super) journal: BTreeMap<u64, Booked>,
    /// Nothing happens to it before.
    pub(super) wakes: u64,
    /// How far its clock for windows is ahead, in milliseconds.
    pub(super) skew: u64,
    pub(super) fate: Fate,
}

/// What is to become of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It is there, or will be.
    Lives,
    /// Another node is in its place, and its journal will be found.
    Shelved,
    /// Its journal is lost.
    Lost,
    /// The operator has told that it does not come back.
    Forgotten,
    /// It does not come back, and all is booked.
    Over,
}

/// What the journal has of one window.
#[derive(Debug, Default)]
pub(super) struct Booked {
    pub(super) spent: u64,
    /// By call.
    pub(super) open: BTreeMap<u64, u64>,
    /// Charged beyond what the node had.
    pub(super) debt: u64,
}

impl Booked {
    /// What is open is charged in full.
    pub(super) fn spent_in_full(&self) -> u64 {
        self.spent + self.open.values().sum::<u64>()
    }
}

/// What a kill takes.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// By window.
    pub(super) holders: BTreeMap<u64, Holder>,
    pub(super) waiting: Vec<Call>,
    /// By call: window and what it holds.
    pub(super) open: BTreeMap<u64, (u64, u64)>,
    /// When it looks again whether something is to be said.
    pub(super) ticks_at: Option<u64>,
}

/// A request that is not decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u64,
    pub(super) cost: u64,
    pub(super) window: u64,
    pub(super) arrived: Duration,
    pub(super) looks_again: u64,
}

impl Node {
    pub(super) fn new(id: u128, skew: u64) -> Self {
        Self {
            id,
            run: 0,
            process: None,
            journal: BTreeMap::new(),
            wakes: 0,
            skew,
            fate: Fate::Lives,
        }
    }

    /// Starts a process, behind what the pools recover.
    pub(super) fn start(&mut self) {
        self.run += 1;
        self.process = Some(Process::default());
    }

    /// Gives what the present process charges in a window if it ends now.
    pub(super) fn spent_in_full(&self, window: u64) -> u64 {
        self.journal.get(&window).map_or(0, Booked::spent_in_full)
    }
}
