//! How rows are found.

use super::*;
use crate::store::sql::keys;

/// However much others used meanwhile, or the customer at other times.
#[test]
fn the_minutes_of_one_customer_are_looked_up_one_by_one() {
    let place = Place::new();
    let connection = Connection::open(place.path()).unwrap();
    for sql in [
        "SELECT minute FROM customer_minutes WHERE customer = 'a' AND hour > 0 AND hour < 9",
        "SELECT minute FROM customer_minutes WHERE customer = 'a' AND series = 1",
        "DELETE FROM usage_minutes WHERE place = 1 AND series = 1
            AND minute IN (SELECT minute FROM customer_minutes WHERE customer = 'a' AND series = 1)",
        &keys::select("WHERE customer = 'a'"),
    ] {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<_> = steps.map(Result::unwrap).collect();
        let looks = |what: &str| steps.iter().any(|step| step.starts_with(what));
        assert!(looks("SEARCH h USING PRIMARY KEY (customer=?"), "{steps:?}");
        assert!(looks("SEARCH m USING PRIMARY KEY (minute=? AND place=?"), "{steps:?}");
        assert!(!looks("SCAN usage") && !looks("SCAN m") && !looks("SCAN h") && !looks("SCAN s"), "{steps:?}");
        assert!(!looks("SCAN key"), "{steps:?}");
    }
}
