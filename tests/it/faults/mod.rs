//! Faults of the disk, the clock, memory and our own: the real program under load, with an upstream that
//! counts. Counted routes are refused, and served neither for free nor with a 402; public ones go on;
//! it recovers by itself, and the books are right.

mod clocks;
mod damage;
mod descriptors;
mod lasting;
mod load;
mod memory;
mod panics;
mod scene;
pub(crate) mod shim;
mod small_disk;
mod sweep;
mod table;
