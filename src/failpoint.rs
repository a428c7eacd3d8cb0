//! Places where a test can make the gateway panic, and clocks that it can move under a program that
//! runs. They exist in debug builds only.

use std::{
    fs,
    path::PathBuf,
    sync::{LazyLock, Mutex, PoisonError},
};

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

/// A clock of the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MovedClock {
    /// The clock that counts suspension.
    Running,
    /// The wall clock.
    Wall,
}

/// Gives the seconds by which a test has moved a clock: the wall clock's and the running one's stand in
/// the file that `FAREGATE_CLOCKS` names, as two numbers. What cannot be read moves nothing.
pub(crate) fn moved_seconds(clock: MovedClock) -> i64 {
    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("FAREGATE_CLOCKS").map(PathBuf::from));
    let Some(file) = &*FILE else { return 0 };
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
    let place = match clock {
        MovedClock::Wall => 0,
        MovedClock::Running => 1,
    };
    numbers.nth(place).unwrap_or(0)
}
