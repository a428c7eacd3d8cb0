//! The digest of a body, as a challenge says it (RFC 9530): `sha-256=:BASE64:`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// The digest of a body while it is read.
#[derive(Debug, Default)]
pub(crate) struct BodyDigest(Sha256);

impl BodyDigest {
    /// Adds a piece.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Gives it as it is written.
    pub(crate) fn text(self) -> String {
        format!("sha-256=:{}:", STANDARD.encode(self.0.finalize()))
    }
}
