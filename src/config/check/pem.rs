//! Files of PEM that the configuration names: certificates, their keys, and whom to trust.

use std::path::Path;

use crate::{
    clock::Clock,
    config::{
        file::{Field, Spanned},
        report::{Problem, Problems, Span},
        wording::quote,
    },
    tls::{Pair, PairError, RootsError},
};

pub(super) const FORM: &str = "write tls = { cert = \"tls.crt\", key = \"tls.key\" }, files of PEM";

/// Where a certificate and its key stand in the file.
pub(super) struct Place<'t> {
    pub(super) cert: &'t Spanned<String>,
    pub(super) key: &'t Spanned<String>,
}

impl<'t> Place<'t> {
    /// Finds them; both must be there.
    pub(super) fn find(
        cert: &'t Field<String>,
        key: &'t Field<String>,
        span: Span,
        problems: &mut Problems,
    ) -> Option<Self> {
        let missing =
            || Problem::error(span, "there is no `cert`, the certificate's file").help(FORM);
        let cert = cert.required(problems, missing);
        let missing = || Problem::error(span, "there is no `key`, the file of its key").help(FORM);
        let key = key.required(problems, missing);
        let (cert, key) = (path(cert?, problems), path(key?, problems));
        Some(Self { cert: cert?, key: key? })
    }

    /// Reads the files, and warns of a certificate that ends soon.
    pub(super) fn read(&self, directory: &Path, problems: &mut Problems) -> Option<Pair> {
        let Self { cert, key } = self;
        let read = Pair::read(&directory.join(&cert.value), &directory.join(&key.value));
        let pair = read.map_err(|error| problems.add(self.wrong(&error))).ok()?;
        if let Some(ends) = pair.validity().warning(Clock::system().now()) {
            let message = format!("{}: the certificate {ends}", quote(&cert.value));
            problems.add(Problem::warning(cert.span, message).help("renew it"));
        }
        Some(pair)
    }

    fn wrong(&self, error: &PairError) -> Problem {
        let Self { cert, key } = self;
        let named = |of: &Spanned<String>| format!("{}: {error}", quote(&of.value));
        match error {
            PairError::UnreadableCertificate(_) => Problem::missing_secret(cert.span, named(cert))
                .help("put the file there, readable for the gateway's user"),
            PairError::UnreadableKey(_) => Problem::missing_secret(key.span, named(key))
                .help("put the file there, readable for the gateway's user and nobody else"),
            PairError::Certificate(_) => Problem::error(cert.span, named(cert)).help(
                "the file has the certificate and behind it those that it was issued by, as PEM",
            ),
            PairError::Key(_) => Problem::error(key.span, named(key)).help(
                "the file has the certificate's private key as PEM: PKCS #8, PKCS #1 or SEC 1",
            ),
            PairError::Mismatch => Problem::error(key.span, error.to_string())
                .related(cert.span, "the certificate")
                .help("write the key that the certificate was requested with"),
        }
    }
}

/// Tells a path from what should stand in the file that it names.
pub(super) fn path<'t>(
    given: &'t Spanned<String>,
    problems: &mut Problems,
) -> Option<&'t Spanned<String>> {
    if !given.value.contains("-----BEGIN") {
        return Some(given);
    }
    let message = "this is not a path, but what belongs into a file";
    problems.add(Problem::error(given.span, message).help(FORM).hidden());
    None
}

/// Tells what is wrong with a file of those who vouch for somebody.
pub(super) fn wrong_roots(error: &RootsError, given: &Spanned<String>, whom: &str) -> Problem {
    let Spanned { value, span } = given;
    let message = format!("{}: {error}", quote(value));
    match error {
        RootsError::Unreadable(_) => Problem::missing_secret(*span, message)
            .help("put the file there, readable for the gateway's user"),
        RootsError::Certificate(_) | RootsError::System => Problem::error(*span, message)
            .help(format!("the file has the CA certificates by which {whom} are verified, as PEM")),
    }
}
