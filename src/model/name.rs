//! Which names and identifiers are allowed.

/// The longest name of the operator's, so that it fits headers and labels.
pub const NAME_MAX: usize = 64;

/// The longest identifier of a customer, an application or a key.
pub const ID_MAX: usize = 128;

/// Tells whether a text can be a name of the operator's: of a plan, a quota, a route.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(is_name_char)
}

/// Tells whether a character may stand in a name.
pub fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c)
}

/// Tells whether a text can be an identifier, which may come from another system, such as a mail
/// address.
pub fn is_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    !text.is_empty() && text.len() <= ID_MAX && text.chars().all(allowed)
}

/// Tells whether a text looks like a key of ours, which must never become an identifier: those are
/// shown to everyone.
pub fn looks_like_a_key(text: &str) -> bool {
    text.starts_with("fg_live_") || text.starts_with("fg_test_")
}

/// Tells whether a text is a scope (RFC 6749 section 3.3).
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}
