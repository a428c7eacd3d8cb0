//! `tls` in `[server]`: the files are read, and everything that a client would refuse is told.

use std::{path::Path, sync::Arc, time::Duration};

use http::HeaderValue;

use super::{
    pem::{self, Place},
    url::Url,
};
use crate::{
    answer::headers::field_value,
    config::{
        Certificate, ClientAuth, ServerTls,
        file::{CertificateTable, Field, Spanned, TlsTable},
        report::{Problem, Problems},
        wording::quote,
    },
    server::tls::{Terms, Tls, Trust},
    tls::Pair,
};

/// Browsers forget nothing that they were told for longer; more is a slip of the pen.
const HSTS_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Checks `tls`. What callers are told beside it is looked at too; where it redirects from, `listeners` looks at.
pub(super) fn check(
    field: &Field<TlsTable>,
    public_url: &Field<String>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<ServerTls> {
    let table = field.value()?;
    let places = places(table, problems)?;
    let pairs: Vec<Option<Pair>> =
        places.iter().map(|place| read_pair(place, directory, problems)).collect();
    let client_ca = table.client_ca.given();
    let is_required = check_client_auth(table, problems);
    let trust = client_ca.map(|given| read_trust(given, is_required, directory, problems));
    let hsts = table.hsts.given().and_then(|given| check_hsts(given, problems));
    let pairs: Vec<Pair> = pairs.into_iter().collect::<Option<_>>()?;
    check_public_url(public_url, &pairs, problems);
    let certificate = |place: &Place<'_>| Certificate {
        cert: directory.join(&place.cert.value),
        key: directory.join(&place.key.value),
    };
    let certificates: Vec<_> = places.iter().map(certificate).collect();
    let client_ca = client_ca.map(|given| directory.join(&given.value));
    let files = certificates.iter().flat_map(|of| [&of.cert, &of.key]).chain(&client_ca);
    let min_version = table.min_version.value().copied().unwrap_or_default();
    let terms = Terms {
        pairs,
        // One that cannot be read must not leave clients unasked.
        trust: trust.map_or(Some(None), |trust| trust.map(Some))?,
        min_version,
        hsts: hsts.map(hsts_value),
        files: files.cloned().collect(),
    };
    let ready = Tls::new(terms);
    let ready = ready.map_err(|error| problems.add(Problem::error(table.span, error.to_string())));
    Some(ServerTls {
        certificates,
        client_auth: match (&client_ca, is_required) {
            (None, _) => None,
            (Some(_), true) => Some(ClientAuth::Required),
            (Some(_), false) => Some(ClientAuth::Optional),
        },
        client_ca,
        min_version,
        hsts,
        redirect: table.redirect.value().copied(),
        ready: Arc::new(ready.ok()?),
    })
}

/// Finds the files of all certificates, which stand in one of two forms.
fn places<'t>(table: &'t TlsTable, problems: &mut Problems) -> Option<Vec<Place<'t>>> {
    let TlsTable { span, cert, key, certificates, .. } = table;
    if certificates.is_absent() {
        return Place::find(cert, key, *span, problems).map(|place| vec![place]);
    }
    if !(cert.is_absent() && key.is_absent()) {
        let help =
            "put it into `certificates`, the first of which is shown to whoever asks for none";
        let message = "`tls` has either `cert` and `key`, or `certificates`";
        problems.add(Problem::error(*span, message).help(help));
    }
    let Spanned { value: list, span } = certificates.given()?;
    if list.is_empty() && !problems.any_within(*span) {
        problems.add(Problem::error(*span, "there is no certificate").help(pem::FORM));
    }
    let of = |given: &'t Spanned<CertificateTable>, problems: &mut Problems| {
        Place::find(&given.value.cert, &given.value.key, given.span, problems)
    };
    let found: Vec<_> = list.iter().map(|given| of(given, problems)).collect();
    let found: Option<Vec<_>> = found.into_iter().collect();
    found.filter(|found| !found.is_empty())
}

/// Reads a pair, and warns of what clients will refuse.
fn read_pair(place: &Place<'_>, directory: &Path, problems: &mut Problems) -> Option<Pair> {
    let pair = place.read(directory, problems)?;
    if pair.names().is_empty() {
        let message = format!("{}: the certificate names no host", quote(&place.cert.value));
        let help = "clients go by its subject alternative names alone";
        problems.add(Problem::warning(place.cert.span, message).help(help));
    }
    Some(pair)
}

fn check_client_auth(table: &TlsTable, problems: &mut Problems) -> bool {
    let given = table.client_auth.given();
    if let Some(given) = given
        && table.client_ca.is_absent()
    {
        let message = "nobody is named who vouches for clients";
        let help = "write client_ca = \"clients.crt\", the certificates of those who do";
        problems.add(Problem::error(given.span, message).help(help));
    }
    given.is_none_or(|given| given.value == ClientAuth::Required)
}

fn read_trust(
    given: &Spanned<String>,
    is_required: bool,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Trust> {
    let Spanned { value, .. } = pem::path(given, problems)?;
    let trust = Trust::read(&directory.join(value), is_required);
    trust.map_err(|error| problems.add(pem::wrong_roots(&error, given, "clients"))).ok()
}

fn check_hsts(given: &Spanned<Duration>, problems: &mut Problems) -> Option<Duration> {
    if given.value <= HSTS_MAX && given.value.subsec_nanos() == 0 {
        return Some(given.value);
    }
    let message = "the time that browsers remember is whole seconds, at most ten years";
    problems.add(Problem::error(given.span, message).help("write hsts = \"365d\""));
    None
}

fn hsts_value(age: Duration) -> HeaderValue {
    field_value(&format!("max-age={}", age.as_secs()))
}

/// Warns where callers are told of an address at which they meet no certificate of its name.
fn check_public_url(field: &Field<String>, pairs: &[Pair], problems: &mut Problems) {
    let Some(Spanned { value: text, span }) = field.given() else { return };
    let Ok(url) = Url::parse(text) else { return };
    if !url.is_https {
        let message =
            "callers are told an address without TLS, and the listener speaks nothing else";
        problems.add(Problem::warning(*span, message).help("write https://…"));
        return;
    }
    let host = url.host.to_string().to_ascii_lowercase();
    let rest = host.find('.').and_then(|dot| host.get(dot..));
    let is_of = |name: &String| {
        *name == host || name.strip_prefix('*').is_some_and(|name| Some(name) == rest)
    };
    let is_name = matches!(url.host, super::host::Host::Name(_));
    if is_name && !pairs.iter().flat_map(Pair::names).any(is_of) {
        let message = format!("no certificate is for {}", quote(&host));
        let help =
            "clients that are told to call there will refuse; write the certificate of that name";
        problems.add(Problem::warning(*span, message).help(help));
    }
}
