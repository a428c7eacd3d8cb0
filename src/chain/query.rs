//! Query parameters: found by name, and taken out.

/// One `name=value` of a query, as it stands there.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    raw: &'a str,
}

/// Splits a query at its ampersands.
pub fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').filter(|raw| !raw.is_empty()).map(|raw| Pair { raw })
}

/// Gives the query without the parameters of some names; the others stay as they are, in their order.
pub fn without(query: &str, names: &[&str]) -> String {
    let kept = pairs(query).filter(|pair| !names.iter().any(|name| pair.is_named(name)));
    kept.map(|pair| pair.raw).collect::<Vec<_>>().join("&")
}

impl Pair<'_> {
    /// Tells whether the name, once decoded, is this one.
    pub fn is_named(&self, name: &str) -> bool {
        let given = self.raw.split_once('=').map_or(self.raw, |(name, _)| name);
        decoded(given) == name.as_bytes()
    }

    /// Gives the decoded value.
    pub fn value(&self) -> Vec<u8> {
        self.raw.split_once('=').map_or_else(Vec::new, |(_, value)| decoded(value))
    }
}

/// Takes percent-encoding off; a percent sign without two digits stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let pair = rest.split_at_checked(2).filter(|_| *first == b'%');
        match pair.and_then(|(digits, rest)| Some((byte(digits)?, rest))) {
            Some((byte, rest)) => {
                bytes.push(byte);
                left = rest;
            }
            None => {
                bytes.push(*first);
                left = rest;
            }
        }
    }
    bytes
}

fn byte(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_decoded_name() {
        let query = "a=1&key=k%31&%6Bey=k2&key&b=%zz%4&key=";
        let values = |name: &str| -> Vec<String> {
            let found = pairs(query).filter(|pair| pair.is_named(name));
            found.map(|pair| String::from_utf8(pair.value()).unwrap()).collect()
        };
        assert_eq!(values("key"), ["k1", "k2", "", ""]);
        assert_eq!(values("b"), ["%zz%4"]);
        assert!(values("KEY").is_empty());
    }

    #[test]
    fn others_stay_as_they_are() {
        let left = |query| without(query, &["key", "k2"]);
        assert_eq!(left("a=%20&key=1&b&%6Bey=2&c=x=y&k2"), "a=%20&b&c=x=y");
        assert_eq!(left("key=1"), "");
    }
}
