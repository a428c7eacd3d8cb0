//! A certificate and its key, as files have them.

use std::{
    fmt, fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    sign::{CertifiedKey, SigningKey},
};
use webpki::{EndEntityCert, KeyUsage};

use super::{Validity, provider};

/// The largest file; a chain has some kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate and its key, which fit.
pub struct Pair {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    validity: Validity,
}

/// Why two files are no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The certificate's file cannot be read.
    #[error("the certificate cannot be read: {0}")]
    UnreadableCertificate(#[source] io::Error),
    /// The key's file cannot be read.
    #[error("the key cannot be read: {0}")]
    UnreadableKey(#[source] io::Error),
    /// There is none in it, or it is none.
    #[error("{0}")]
    Certificate(&'static str),
    /// There is none in it, or it is none that can be used.
    #[error("{0}")]
    Key(&'static str),
    /// The key is another certificate's.
    #[error("the key is not the certificate's")]
    Mismatch,
}

impl Pair {
    /// Reads it from two files of PEM: the certificate with what it was issued by behind it, and its key.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, PairError> {
        let chain = read(certificate).map_err(PairError::UnreadableCertificate)?;
        let chain = parse_chain(&chain).map_err(PairError::Certificate)?;
        let key = zeroize::Zeroizing::new(read(key).map_err(PairError::UnreadableKey)?);
        let key = parse_key(&key).map_err(PairError::Key)?;
        let (names, not_after) = describe(&chain)
            .ok_or(PairError::Certificate("the first certificate in the file cannot be read"))?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // Of a key that cannot tell, nobody knows better.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(PairError::Mismatch),
        }
        let (file, name) = (PathBuf::from(certificate), names.first().cloned());
        Ok(Self { key: Arc::new(key), names, validity: Validity { file, name, not_after } })
    }

    /// Gives what is shown, and signed with.
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// Gives the names that it is valid for; `*.` stands before what is any label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Gives until when it is valid.
    pub fn validity(&self) -> &Validity {
        &self.validity
    }
}

impl fmt::Debug for Pair {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Reads a file, unless it is too long to be one of ours.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB"));
    }
    Ok(bytes)
}

/// Reads all certificates of a file; there is at least one.
pub(super) fn parse_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("there is no certificate in the file"),
        Ok(chain) => Ok(chain),
        Err(_) => Err("the file is no PEM that can be read"),
    }
}

fn parse_key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, &'static str> {
    let Ok(key) = PrivateKeyDer::from_pem_slice(pem) else {
        let is_encrypted = memchr::memmem::find(pem, b"ENCRYPTED").is_some();
        return Err(match is_encrypted {
            true => "the key is encrypted; write it in clear, such as with `openssl pkey`",
            false => "there is no private key in the file",
        });
    };
    let loaded = provider().key_provider.load_private_key(key);
    loaded.map_err(|_| "a key of this kind cannot be used; RSA, ECDSA P-256 or P-384, Ed25519 can")
}

/// Finds names and end of the certificate itself, the first of its chain.
fn describe(chain: &[CertificateDer<'static>]) -> Option<(Vec<String>, Option<Timestamp>)> {
    let certificate = EndEntityCert::try_from(chain.first()?).ok()?;
    let names = certificate.valid_dns_names().map(str::to_ascii_lowercase).collect();
    Some((names, not_after(&certificate)))
}

/// Finds until when a certificate is valid. The library gives that in one place: as the reason for which
/// it is refused at a time that lies behind it.
fn not_after(certificate: &EndEntityCert<'_>) -> Option<Timestamp> {
    // In the year 9999, the last that a certificate can name.
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(253_402_300_799));
    let usage = KeyUsage::server_auth();
    let refused = certificate.verify_for_usage(&[], &[], &[], end_of_time, usage, None, None);
    match refused.err()? {
        webpki::Error::CertExpired { not_after, .. } => {
            Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()
        }
        _ => None,
    }
}
