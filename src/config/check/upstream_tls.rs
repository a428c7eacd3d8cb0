//! `tls` of an upstream: who vouches for it, what it is shown, and by which name it is called.

use std::{cell::OnceCell, path::Path, sync::Arc};

use rustls::pki_types::ServerName;

use super::{
    endpoints::Reach,
    host::{Host, NotHost},
    pem::{self, Place},
};
use crate::{
    config::{
        file::{Field, Spanned, UpstreamTlsTable},
        report::{Problem, Problems, Span},
        wording::quote,
    },
    model::HttpVersion,
    tls::{Pair, Roots, RootsError},
    upstream::tls::{Settings, Terms, Tls},
};

/// Those whom the system trusts, asked for once, where an upstream needs them.
#[derive(Debug, Default)]
pub(super) struct System(OnceCell<Result<Roots, RootsError>>);

impl System {
    fn roots(&self, span: Span, problems: &mut Problems) -> Option<Roots> {
        match self.0.get_or_init(Roots::system) {
            Ok(roots) => Some(roots.clone()),
            Err(error) => {
                let help = "install them (package ca-certificates), or write who vouches for the \
                            upstream: tls = { ca = \"ca.crt\" }";
                problems.add(Problem::missing_secret(span, error.to_string()).help(help));
                None
            }
        }
    }
}

/// Checks `tls` of an upstream; `Some(None)` is one in clear. `span` is where its URL stands.
pub(super) fn check(
    field: &Field<UpstreamTlsTable>,
    version: HttpVersion,
    reach: Option<Reach>,
    span: Span,
    system: &System,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Option<Arc<Tls>>> {
    let table = field.value();
    if let Some(table) = table {
        check_place(table, reach, problems);
    }
    // The files are looked at in any case, so that all that is wrong is told at once.
    let given = table.map(|table| Given::read(table, directory, problems));
    if field.is_absent() && reach != Some(Reach::Tls) {
        return reach.map(|_| None);
    }
    let Given { ca, pair, settings } = match given {
        Some(given) => given?,
        None if field.is_absent() => Given::default(),
        None => return None,
    };
    let roots = match ca {
        Some(roots) => roots,
        None => system.roots(span, problems)?,
    };
    let settings = Settings { version, ..settings };
    let made = Tls::new(Terms { roots, pair, settings });
    let made = made.map_err(|error| problems.add(Problem::error(span, error.to_string())));
    Some(Some(Arc::new(made.ok()?)))
}

/// Tells where there is nothing that TLS could be spoken to.
fn check_place(table: &UpstreamTlsTable, reach: Option<Reach>, problems: &mut Problems) {
    let (message, help) = match reach {
        None | Some(Reach::Tls) => return,
        Some(Reach::Clear) => {
            ("`tls` stands beside a URL in clear", "write https:// in the URL, or leave `tls` out")
        }
        Some(Reach::Socket) => (
            "a socket on this machine is spoken to in clear",
            "leave `tls` out, or write the https URL of a port",
        ),
    };
    problems.add(Problem::error(table.span, message).help(help));
}

/// What the table gives.
#[derive(Default)]
struct Given {
    ca: Option<Roots>,
    pair: Option<Pair>,
    settings: Settings,
}

impl Given {
    fn read(table: &UpstreamTlsTable, directory: &Path, problems: &mut Problems) -> Option<Self> {
        let UpstreamTlsTable { span, ca, cert, key, server_name, min_version } = table;
        let roots = ca.given().map(|given| read_roots(given, directory, problems));
        let has_pair = !(cert.is_absent() && key.is_absent());
        let place = has_pair.then(|| Place::find(cert, key, *span, problems));
        let pair =
            place.as_ref().map(|place| place.as_ref().and_then(|at| at.read(directory, problems)));
        let name = server_name.given().map(|given| read_name(given, problems));
        let path = |given: &Spanned<String>| directory.join(&given.value);
        let place = place.flatten();
        let settings = Settings {
            ca: ca.given().map(path),
            cert: place.as_ref().map(|place| path(place.cert)),
            key: place.as_ref().map(|place| path(place.key)),
            server_name: unless_wrong(name)?,
            min_version: min_version.value().copied().unwrap_or_default(),
            version: HttpVersion::default(),
        };
        Some(Self { ca: unless_wrong(roots)?, pair: unless_wrong(pair)?, settings })
    }
}

/// Tells what is not given from what is wrong.
fn unless_wrong<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn read_roots(given: &Spanned<String>, directory: &Path, problems: &mut Problems) -> Option<Roots> {
    let Spanned { value, .. } = pem::path(given, problems)?;
    let roots = Roots::read(&directory.join(value));
    roots.map_err(|error| problems.add(pem::wrong_roots(&error, given, "the upstream"))).ok()
}

fn read_name(given: &Spanned<String>, problems: &mut Problems) -> Option<ServerName<'static>> {
    let Spanned { value: text, span } = given;
    let wrong = |help: String| {
        let message = format!("{} is not a name that a certificate can have", quote(text));
        Problem::error(*span, message).help(help)
    };
    let name = match Host::parse(text) {
        Ok(host) => ServerName::try_from(host.dialled()).ok(),
        Err(NotHost::Differs(normal)) => {
            problems.add(wrong(format!("write {}", quote(&normal))));
            return None;
        }
        Err(NotHost::Bad) => None,
    };
    if name.is_none() {
        let help = "write a host name or an address, without scheme and port";
        problems.add(wrong(help.to_owned()));
    }
    name
}
