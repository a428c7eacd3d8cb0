//! Places where a test can make the gateway panic. They exist in debug builds only.

use std::sync::{Mutex, PoisonError};

/// A place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Point {
    /// The request is sent and no head has come.
    BeforeHead,
    /// A piece of the answer's body has come.
    AfterHead,
}

static ARMED: Mutex<Vec<(Point, String)>> = Mutex::new(Vec::new());

/// Makes the next request of a route panic at a point.
pub fn arm(point: Point, route: &str) {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner).push((point, route.to_owned()));
}

/// Panics if the point is armed for the route, once.
pub(crate) fn hit(point: Point, route: &str) {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = armed.iter().position(|(at, name)| *at == point && name == route);
    if let Some(index) = found {
        armed.swap_remove(index);
        drop(armed);
        panic!("a test armed this failpoint");
    }
}
