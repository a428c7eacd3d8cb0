//! Which of several processes does what is done once for all.

use super::{
    postgres::{Place, server},
    *,
};

const LEADS: Option<Duration> = Some(Duration::from_secs(5));

/// Begins a process of a node.
fn join(place: &Place, node: u128) -> Peer {
    let mut store = Postgres::open(server(place.name())).unwrap();
    let joined = store.join(NodeId(Uuid::from_u128(node)), "1").unwrap();
    joined.shared.unwrap().peer
}

/// Lets the server's clock say this.
fn set_clock(place: &Place, ms: i64) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$ SELECT {ms}::bigint $$"
    );
    place.by_hand(&sql).unwrap();
}

fn leads(peer: &Peer) -> Option<Duration> {
    peer.beat(true).unwrap().leads
}

#[test]
fn one_leads_as_long_as_it_says_that_it_is_there() {
    let place = Place::new();
    set_clock(&place, 1_000_000);
    let (first, second) = (join(&place, 1), join(&place, 2));
    assert_eq!((leads(&second), leads(&first)), (LEADS, None));
    set_clock(&place, 1_004_000);
    assert_eq!((leads(&first), leads(&second)), (None, LEADS));
    set_clock(&place, 1_008_999);
    assert_eq!(leads(&first), None);
    set_clock(&place, 1_009_000);
    assert_eq!((leads(&first), leads(&second)), (LEADS, None));
    let nodes = place.store.reads().nodes().unwrap();
    assert_eq!(nodes.iter().map(|node| node.leads).collect::<Vec<_>>(), [true, false]);
    set_clock(&place, 1_014_000);
    let nodes = place.store.reads().nodes().unwrap();
    assert!(nodes.iter().all(|node| !node.leads), "its time is over");
}

#[test]
fn who_stops_gives_it_up_and_takes_it_no_more() {
    let place = Place::new();
    set_clock(&place, 1_000_000);
    let (first, second) = (join(&place, 1), join(&place, 2));
    assert_eq!(leads(&first), LEADS);
    assert_eq!(first.beat(false).unwrap().leads, None);
    assert_eq!(first.beat(false).unwrap().leads, None);
    assert_eq!((leads(&second), leads(&first)), (LEADS, None));
    second.leave().unwrap();
    assert_eq!(leads(&first), LEADS);
}

#[test]
fn the_last_process_of_a_node_takes_it_from_the_one_before() {
    let place = Place::new();
    set_clock(&place, 1_000_000);
    let (before, other) = (join(&place, 1), join(&place, 2));
    assert_eq!(leads(&before), LEADS);
    let last = join(&place, 1);
    assert_eq!(leads(&before), None, "nobody listens to it any more");
    assert_eq!((leads(&other), leads(&last)), (None, LEADS));
    before.leave().unwrap();
    assert_eq!((leads(&other), leads(&last)), (None, LEADS));
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_from_it() {
    let place = Place::new();
    set_clock(&place, 9_000_000);
    let (first, second) = (join(&place, 1), join(&place, 2));
    assert_eq!(leads(&first), LEADS);
    // By less than what a beat can be late for.
    set_clock(&place, 8_996_000);
    assert_eq!(leads(&second), None);
    set_clock(&place, 1_000_000);
    assert_eq!((leads(&second), leads(&first)), (LEADS, None));
}
