//! No output of any kind holds a secret: each one is planted with a mark of its own, and everything
//! that comes out is searched for it, also in base64 and in hexadecimal digits.

#[cfg(debug_assertions)]
mod panics;
mod program;
mod scene;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

/// Something secret, and what of it is searched for.
#[derive(Clone, Debug)]
struct Secret {
    name: String,
    value: String,
    /// The outputs that hold it by right: parts of their names.
    allowed: &'static [&'static str],
}

impl Secret {
    fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into(), allowed: &[] }
    }
}

/// Something that came out, and what it is called.
struct Output {
    name: String,
    bytes: Vec<u8>,
}

impl Output {
    fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// Gives the forms in which some bytes may stand in others.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    // In base64 the digits depend on how many bytes stand before: three cases. What the neighbours
    // have a share in is left out.
    for before in 0..3 {
        let text = STANDARD_NO_PAD.encode([&vec![0; before][..], bytes].concat());
        let whole = (before + bytes.len()) * 8 / 6;
        let own = text[(before * 8).div_ceil(6)..whole].to_owned();
        forms.push(own.replace('+', "-").replace('/', "_").into_bytes());
        forms.push(own.into_bytes());
    }
    forms
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some((first, _)) = wanted.split_first() else { return false };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// Gives which outputs hold which secrets.
fn search(outputs: &[Output], secrets: &[Secret]) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets {
        let forms = forms(secret.value.as_bytes());
        for output in outputs {
            let is_allowed = secret.allowed.iter().any(|name| output.name.contains(name));
            if !is_allowed && forms.iter().any(|form| contains(&output.bytes, form)) {
                found.push(format!("{} in {}", secret.name, output.name));
            }
        }
    }
    found
}

/// The search itself finds what is there, in each form and wherever it stands.
#[test]
fn search_finds_what_is_there() {
    let secret = [Secret::new("mark", "m4rk-of-the-search")];
    let mark = secret[0].value.as_bytes();
    let hex: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
    for before in 0..4 {
        let within = [&b"abc"[..before.min(3)], mark, b"xyz"].concat();
        for bytes in [
            within.clone(),
            STANDARD_NO_PAD.encode(&within).into_bytes(),
            format!("..{hex}..").into_bytes(),
            hex.to_uppercase().into_bytes(),
        ] {
            let found = search(&[Output::new("it", bytes)], &secret);
            assert_eq!(found, ["mark in it"], "{before}");
        }
    }
    assert_eq!(search(&[Output::new("it", "m4rk-of-the-searc")], &secret), [""; 0]);
    let allowed = Secret { allowed: &["it"], ..secret[0].clone() };
    assert_eq!(search(&[Output::new("it", mark)], &[allowed]), [""; 0]);
}
