//! What fuzzing calls: for each reader of outside data a function that takes any bytes and asserts what
//! must hold of them, beyond that nothing panics.
//!
//! It is built for `cargo fuzz`, whose programs are in `fuzz/`, and for the unit tests, which run the
//! committed inputs: so it is always up to date, and what was found once stays found.

mod admin;
mod answer;
mod chunked;
mod config;
mod cors;
mod credentials;
mod forwarded;
mod http2;
mod input;
mod letter;
mod origin;
mod payment;
mod request;
mod target;
mod values;
mod websocket;

/// What takes any bytes.
type Target = fn(&[u8]);

/// Every target, by the name of its program and of the folder with its inputs.
pub const TARGETS: [(&str, Target); 26] = [
    ("admin_body", admin::body),
    ("answer_head", answer::head),
    ("chunked", chunked::body),
    ("config", config::check),
    ("cors", cors::fields),
    ("credentials", credentials::keys),
    ("forwarded_head", forwarded::head),
    ("http2_frames", http2::frames),
    ("import", admin::import),
    ("journal", crate::journal::fuzz::segment),
    ("journal_definition", crate::journal::fuzz::definition),
    ("money", values::money),
    ("origin", origin::fields),
    ("payment", payment::header),
    ("payment_challenges", payment::challenges),
    ("payment_credential", payment::credential),
    ("proxy_protocol", request::proxy_protocol),
    ("query", target::query),
    ("request_head", request::head),
    ("request_records", crate::requests::fuzz::records),
    ("target", target::path_and_host),
    ("trace_context", values::trace_context),
    ("trailers", chunked::trailers),
    ("values", values::texts),
    ("websocket_frames", websocket::frames),
    ("websocket_handshake", websocket::handshake),
];

/// Runs the target of a name, which its program has from its own.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.expect("each program is named like its target");
    target(data);
}

#[cfg(test)]
mod tests;
