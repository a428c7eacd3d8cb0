//! Keys in fields.

use http::{HeaderMap, Request};

use super::input::{self, first};
use crate::{chain::credential, config::KeyLocation};

/// Where keys were taken off no key is found, and what stands elsewhere stays.
pub(super) fn keys(data: &[u8]) {
    let (mask, data) = first(data);
    let all = [
        KeyLocation::Bearer,
        KeyLocation::Basic,
        KeyLocation::x_api_key(),
        KeyLocation::Cookie("key".into()),
        KeyLocation::Cookie("sid".into()),
    ];
    let locations: Vec<KeyLocation> = (0..)
        .zip(all)
        .filter(|(bit, _)| mask >> bit & 1 == 1)
        .map(|(_, location)| location)
        .collect();
    let fields = input::fields(data);
    let found = find(&fields, &locations);
    let mut left = fields.clone();
    credential::remove(&mut left, &locations);
    assert!(find(&left, &locations).is_none(), "{left:?}");
    if found.is_none() && find(&fields, &locations).is_none() {
        others(&fields, &left);
    }
    others_by_name(&fields, &left);
}

/// Tells whether a key is found, be it one of several.
fn find(fields: &HeaderMap, locations: &[KeyLocation]) -> Option<()> {
    let mut request = Request::new(());
    *request.headers_mut() = fields.clone();
    let (head, ()) = request.into_parts();
    match credential::find(&head, locations) {
        Err(crate::answer::Denial::MissingApiKey) => None,
        Ok(_) | Err(_) => Some(()),
    }
}

/// Cookies may lose an empty one between two others; all else is the same.
fn others(fields: &HeaderMap, left: &HeaderMap) {
    for name in fields.keys().filter(|name| *name != "cookie") {
        let values = |fields: &HeaderMap| fields.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(fields), values(left), "{name}");
    }
}

fn others_by_name(fields: &HeaderMap, left: &HeaderMap) {
    let mut expected = fields.clone();
    for name in ["authorization", "cookie", "x-api-key"] {
        expected.remove(name);
    }
    others(&expected, left);
}
