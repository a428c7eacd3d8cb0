//! One call of the admin API, before it is sent.

use http::Method;
use serde_json::Value;

/// Method, path, body, and whom it is about.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// What a refusal begins with when the gateway does not name it.
    pub(super) about: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

impl Call {
    /// Begins a call of `/v1/` and the segments, which are encoded.
    pub(in crate::cli) fn new(method: Method, segments: &[&str]) -> Self {
        let mut path = "/v1".to_owned();
        for segment in segments {
            path.push('/');
            path.push_str(&encoded(segment));
        }
        Self { method, path, body: None, about: None, idempotency_key: None }
    }

    /// Begins a call that reads.
    pub(in crate::cli) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    /// Begins a call that does something.
    pub(in crate::cli) fn post(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, segments) }
    }

    /// Begins a call that states something whole.
    pub(in crate::cli) fn put(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, segments) }
    }

    /// Begins a call that changes some fields.
    pub(in crate::cli) fn patch(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, segments) }
    }

    /// Begins a call that takes something away.
    pub(in crate::cli) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments)
    }

    /// Adds a parameter to the query if there is a value.
    pub(in crate::cli) fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.path.push(if self.path.contains('?') { '&' } else { '?' });
            self.path.push_str(&format!("{name}={}", encoded(value)));
        }
        self
    }

    /// Says whom it is about.
    pub(in crate::cli) fn about(self, id: &str) -> Self {
        Self { about: Some(id.to_owned()), ..self }
    }

    /// Lets the gateway know the call again when it is repeated.
    pub(in crate::cli) fn idempotency_key(self, key: String) -> Self {
        Self { idempotency_key: Some(key), ..self }
    }

    /// Gives path and query.
    pub(in crate::cli) fn target(&self) -> &str {
        &self.path
    }

    /// Tells method, path and query, as in a request line.
    #[cfg(test)]
    pub(in crate::cli) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Gives the body.
    #[cfg(test)]
    pub(in crate::cli) fn document(&self) -> Value {
        self.body.clone().unwrap_or_default()
    }
}

/// Makes a key that no other call has.
pub(in crate::cli) fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Encodes what may not stand in a path segment or a parameter.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_parameters_are_encoded() {
        let call = Call::get(&["customers", "a/b?c@d"]).query("limit", None);
        assert_eq!(call.line(), "GET /v1/customers/a%2Fb%3Fc%40d");
        let call = call.query("by", Some("customer,day")).query("prefix", Some("a&b=ü"));
        let query = "?by=customer%2Cday&prefix=a%26b%3D%C3%BC";
        assert_eq!(call.line(), format!("GET /v1/customers/a%2Fb%3Fc%40d{query}"));
    }

    #[test]
    fn random_keys_differ() {
        let (a, b) = (random_key().unwrap(), random_key().unwrap());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
