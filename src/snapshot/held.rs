//! A snapshot as one worker holds it.

use std::{rc::Rc, sync::Arc};

use super::{Snapshot, table::RouteTable};

/// A snapshot in the hands of one worker. Every request counts those that hold a snapshot and a route; a
/// count that all workers shared would be a line of memory that they take from each other for each
/// request. So a worker counts its requests' holds apart, and has the routes to itself.
#[derive(Clone, Debug)]
pub struct Held(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    snapshot: Arc<Snapshot>,
    routes: RouteTable,
}

impl Held {
    /// Takes hold of a snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let routes = snapshot.routes.copy();
        Self(Rc::new(Inner { snapshot, routes }))
    }

    /// Tells whether it holds this one.
    pub fn is(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.0.snapshot, snapshot)
    }

    /// Gives the snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0.snapshot
    }

    /// Gives the worker's own table of its routes.
    pub fn routes(&self) -> &RouteTable {
        &self.0.routes
    }
}
