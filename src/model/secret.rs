//! New keys: 256 random bits in a form that people copy whole and scanners recognise.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What a key is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real use.
    #[default]
    Live,
    /// Trying out.
    Test,
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Digits that 256 bits need in base 62.
const RANDOM_DIGITS: usize = 43;

/// Digits that the CRC-32 of what stands before needs in base 62.
const CHECK_DIGITS: usize = 6;

/// Makes a key: `fg_live_` or `fg_test_`, 43 base-62 digits, and 6 more of the CRC-32 of all that
/// stands before them. The checksum serves scanners and typing errors; no look-up demands it.
pub fn new_secret(environment: Environment) -> std::io::Result<Zeroizing<String>> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(std::io::Error::other)?;
    Ok(secret_from(environment, &random))
}

fn secret_from(environment: Environment, random: &[u8; 32]) -> Zeroizing<String> {
    let prefix = match environment {
        Environment::Live => "fg_live_",
        Environment::Test => "fg_test_",
    };
    let mut secret = Zeroizing::new(String::with_capacity(64));
    secret.push_str(prefix);
    push_base62(&mut secret, random, RANDOM_DIGITS);
    let check = crc32fast::hash(secret.as_bytes());
    push_base62(&mut secret, &check.to_be_bytes(), CHECK_DIGITS);
    secret
}

/// Writes a big-endian number in base 62, with leading zeros.
fn push_base62(text: &mut String, number: &[u8], digits: usize) {
    let mut number = Zeroizing::new(number.to_vec());
    let mut reversed = Zeroizing::new(Vec::with_capacity(digits));
    for _ in 0..digits {
        let mut remainder = 0_u32;
        for byte in number.iter_mut() {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        let digit = usize::try_from(remainder).ok().and_then(|index| ALPHABET.get(index));
        reversed.push(digit.copied().unwrap_or(b'0'));
    }
    text.extend(reversed.iter().rev().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_has_our_form() {
        for (environment, prefix) in
            [(Environment::Live, "fg_live_"), (Environment::Test, "fg_test_")]
        {
            let secret = new_secret(environment).unwrap();
            let rest = secret.strip_prefix(prefix).unwrap();
            assert_eq!(rest.len(), 49);
            assert!(rest.bytes().all(|b| b.is_ascii_alphanumeric()));
            let (body, check) = secret.split_at(secret.len() - 6);
            let mut expected = String::new();
            push_base62(&mut expected, &crc32fast::hash(body.as_bytes()).to_be_bytes(), 6);
            assert_eq!(check, expected);
        }
        assert_ne!(
            *new_secret(Environment::Live).unwrap(),
            *new_secret(Environment::Live).unwrap()
        );
    }

    #[test]
    fn base62_keeps_the_whole_number() {
        let text = |number: &[u8], digits| {
            let mut text = String::new();
            push_base62(&mut text, number, digits);
            text
        };
        assert_eq!(text(&[0], 2), "00");
        assert_eq!(text(&[61], 2), "0z");
        assert_eq!(text(&[62], 2), "10");
        assert_eq!(text(&u32::MAX.to_be_bytes(), 6), "4gfFC3");
        // 2^256 - 1 needs exactly 43 digits.
        assert_ne!(text(&[255; 32], 43).as_bytes()[0], b'0');
    }
}
