//! What is counted.
//!
//! What could differ from run to run is made the same: the clock stands still, one thread does all, and
//! the heap has few holes. What is left is the random seed of hash maps and where large buffers come to
//! lie: a tenth of a percent, and seldom one.

use std::hint::black_box;

use faregate::{clock::Clock, ledger::Ledger};

use crate::support::{
    gateway::{Call, SmallGateway},
    limits::{every_kind, noon, take},
    place::{self, append_pair},
    tables::{SPENT, customer, key, tables},
};

/// Rounds that are counted, so that what happens in few of them is shared by all.
pub(crate) const ROUNDS: u64 = 1000;

/// Rounds before these: they make what is made once.
const FIRST_ROUNDS: u64 = 10;

/// The scenarios, in the order in which they run.
pub(crate) const NAMES: [&str; 6] =
    ["served", "refused_402", "refused_401", "refused_404", "ledger", "journal"];

/// Runs every scenario, each with one call of [`counted`].
pub(crate) fn run() {
    let (gateway, _directory) = SmallGateway::new(&tables(100, 10), Clock::manual(noon()));
    let good = key(&customer(7), 3);
    for (status, path, key) in [
        (200, "/v1/forecast/berlin?days=3", &good),
        (402, "/v1/forecast/berlin?days=3", &key(SPENT, 0)),
        (401, "/v1/forecast/berlin?days=3", &key("nobody", 0)),
        (404, "/v2/forecast/berlin?days=3", &good),
    ] {
        let call = Call::get(path, key);
        assert_eq!(gateway.pass(&call), status);
        both(&mut || {
            black_box(gateway.pass(black_box(&call)));
        });
    }
    let (ledger, limits) = (Ledger::new(noon()), every_kind());
    both(&mut || take(&ledger, black_box("acme"), &limits).settle(2));
    let (_directory, mut writer) = place::open();
    let hold = take(&ledger, "acme", &limits);
    both(&mut || append_pair(&mut writer, &hold, 1));
}

fn both(round: &mut dyn FnMut()) {
    let _filled = fill_heap();
    (0..FIRST_ROUNDS).for_each(|_| round());
    counted(round);
}

/// Takes what the setup has given back. Where those holes are depends on the order in hash maps, and on
/// them how long the allocator looks for room for what is too large for its caches.
fn fill_heap() -> Vec<Vec<u8>> {
    /// Just too large for the caches of glibc's allocator.
    const BYTES: usize = 1040;
    const PIECES: usize = 2048;
    (0..PIECES).map(|_| Vec::with_capacity(BYTES)).collect()
}

/// Does the rounds that are counted: Valgrind counts while it is in here, and knows it by its name.
#[inline(never)]
fn counted(round: &mut dyn FnMut()) {
    (0..ROUNDS).for_each(|_| round());
}
