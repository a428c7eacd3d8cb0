//! `[payments.mpp]`: the scheme `Payment`, and the secret of `[payments]` that binds its challenges.

use std::{path::Path, sync::Arc};

use crate::{
    config::{
        KeyLocation,
        file::{Field, MppTable, PaymentsTable, Spanned},
        report::{Problem, Problems, Span},
        secret::SecretSource,
    },
    pay::mpp::{CREDENTIAL, Secret, Terms},
};

/// The longest realm.
const REALM_MAX: usize = 255;

/// What the table is checked beside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside<'c> {
    pub(super) key_locations: &'c [KeyLocation],
    pub(super) public_url: Option<&'c str>,
    /// Where secrets' files are.
    pub(super) directory: &'c Path,
}

/// Checks the table; gives the terms, if it is there and right.
pub(super) fn check(
    field: &Field<PaymentsTable>,
    beside: Beside<'_>,
    problems: &mut Problems,
) -> Option<Arc<Terms>> {
    let PaymentsTable { secret, x402, mpp } = field.value()?;
    let MppTable { span, realm, methods } = mpp.value()?;
    let Beside { key_locations, public_url, directory } = beside;
    if let Some(given) = methods.given().filter(|given| given.value.is_empty()) {
        let help = "write methods = [\"evm\"], or leave out `[payments.mpp]`";
        problems.add(Problem::error(given.span, "there is no method to pay by").help(help));
    }
    if x402.is_absent() {
        let help = "write `[payments.x402]` with a facilitator, a token and a wallet";
        let message = "the method `evm` moves money by `[payments.x402]`, which is not there";
        problems.add(Problem::error(*span, message).help(help));
    }
    let is_taken = |location: &KeyLocation| match location {
        KeyLocation::Header(name) => name == CREDENTIAL,
        _ => false,
    };
    if key_locations.iter().any(is_taken) {
        let message = "keys are looked for in `Payment-Authorization`, which is for payments";
        let help = "take the header out of `locations` in `[auth]`";
        problems.add(Problem::error(*span, message).help(help));
    }
    let secret = check_secret(secret, *span, directory, problems);
    let realm = match realm.given() {
        Some(given) => Some(check_realm(given, problems)?),
        None if realm.span().is_some() => return None,
        None => host(public_url),
    };
    let is_beside_keys = key_locations.iter().any(|location| match location {
        KeyLocation::Basic | KeyLocation::Bearer => true,
        KeyLocation::Cookie(_) | KeyLocation::Header(_) | KeyLocation::Query(_) => false,
    });
    Some(Arc::new(Terms { secret: secret?, realm, is_beside_keys }))
}

fn check_realm(given: &Spanned<String>, problems: &mut Problems) -> Option<Arc<str>> {
    let Spanned { value, span } = given;
    // The last two end a value that is in quotes, and the first stands between what ids are made of.
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && !b"|\"\\".contains(&byte);
    if value.is_empty() || value.len() > REALM_MAX || !value.bytes().all(is_plain) {
        let message = "a realm is printable ASCII without `|`, quotation marks and backslashes";
        let help = "write realm = \"api.example.com\", the host that callers use";
        problems.add(Problem::error(*span, message).help(help));
        return None;
    }
    Some(value.as_str().into())
}

fn host(url: Option<&str>) -> Option<Arc<str>> {
    let uri = url?.parse::<http::Uri>().ok()?;
    uri.host().map(Arc::from)
}

/// Reads the secret. What is wrong with it is told without repeating it.
fn check_secret(
    field: &Field<SecretSource>,
    table: Span,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Secret> {
    let missing = || {
        Problem::error(table, "`[payments]` has no `secret`, which challenges are bound by").help(
            "write secret = { env = \"FAREGATE_PAYMENT_SECRET\" } under `[payments]`; a good one \
             is from `openssl rand -base64 32`",
        )
    };
    let source = field.required(problems, missing)?;
    let text = source.value.read(source.span, directory, problems)?;
    if Secret::is_short(&text) {
        let message = "the secret is shorter than 32 bytes: it is stretched, and may be guessed";
        let help = "make one with `openssl rand -base64 32`";
        problems.add(Problem::warning(source.span, message).help(help));
    }
    Some(Secret::new(&text))
}
