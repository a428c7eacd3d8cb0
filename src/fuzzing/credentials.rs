//! Keys in fields.

use http::{HeaderMap, Request};

use super::input::{self, first};
use crate::{answer::Denial, chain::credential, config::KeyLocation};

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
    let mut left = fields.clone();
    credential::remove(&mut left, &locations);
    assert!(!has_key(&left, &locations), "{left:?}");
    if !has_key(&fields, &locations) {
        assert_eq!(left, fields);
    }
    // Beside a key another in its field is taken too.
    for name in fields.keys().filter(|name| !MAY_HAVE.contains(&name.as_str())) {
        let values = |fields: &HeaderMap| fields.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(&left), values(&fields), "{name}");
    }
}

/// The fields of these places.
const MAY_HAVE: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// Tells whether a key is found, be it one of several.
fn has_key(fields: &HeaderMap, locations: &[KeyLocation]) -> bool {
    let mut request = Request::new(());
    *request.headers_mut() = fields.clone();
    let (head, ()) = request.into_parts();
    !matches!(credential::find(&head, locations), Err(Denial::MissingApiKey))
}
