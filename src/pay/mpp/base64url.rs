//! Base64 for URLs (RFC 4648 section 5), read strictly: one text for the same bytes, but for the padding.

use base64::{
    Engine as _,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};

/// Encodes bytes, without padding.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a text. Padding may stand behind it, all or none; bits that say nothing must be zero.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let engine = if text.ends_with(b"=") { URL_SAFE } else { URL_SAFE_NO_PAD };
    engine.decode(text).ok()
}
