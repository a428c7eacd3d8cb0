//! What is said of payments beside an answer: by the gateway alone, where it takes them.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE};

use crate::{
    http1::Fields,
    pay::{Receipt, mpp},
};

/// The fields that only the gateway says where payments are taken: an upstream that said them would speak for who
/// settles.
const SAID: [&[u8]; 6] = [
    b"payment-required:",
    b"payment-response:",
    b"payment-receipt:",
    b"x-payment-response:",
    b"settlement-overrides:",
    b"extension-responses:",
];

/// Takes out of an answer what an upstream says of payments, and asks for.
pub(super) fn drop_said(fields: &mut Fields) {
    SAID.iter().for_each(|name| fields.remove_beginning(name));
    if fields.find(WWW_AUTHENTICATE.as_str()).is_none() {
        return;
    }
    let asked = fields.find_all(WWW_AUTHENTICATE.as_str());
    if asked.iter().all(|value| matches!(mpp::without_ours(value), Some(Cow::Borrowed(_)))) {
        return;
    }
    fields.remove_beginning(b"www-authenticate:");
    for left in asked.iter().filter_map(|value| mpp::without_ours(value)) {
        if let Ok(left) = HeaderValue::from_bytes(&left) {
            fields.push(&WWW_AUTHENTICATE, &left);
        }
    }
}

/// Tells of a payment beside the answer that it opened, and keeps that from caches that serve others.
pub(super) fn tell(receipt: &Receipt, status: StatusCode, fields: &mut Fields) {
    if let Some((name, value)) = receipt.field(status) {
        fields.push(name, value);
    }
    keep_private(fields);
}

/// What caches go by; those that are targeted go before the first for whom they are meant (RFC 9213 section 2.2).
const CACHED_BY: [&[u8]; 4] = [
    b"cache-control:",
    b"cdn-cache-control:",
    b"cloudflare-cdn-cache-control:",
    b"surrogate-control:",
];

/// Says that an answer is for its caller alone.
fn keep_private(fields: &mut Fields) {
    let said = fields.find_all("cache-control");
    let directives = said.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let mut kept = vec![b"private".to_vec()];
    for directive in directives.map(<[u8]>::trim_ascii) {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
        let is_shared = [&b"public"[..], b"private", b"s-maxage", b"proxy-revalidate"]
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other));
        if !directive.is_empty() && !is_shared {
            kept.push(directive.to_vec());
        }
    }
    CACHED_BY.iter().for_each(|name| fields.remove_beginning(name));
    fields.push_written(&http::header::CACHE_CONTROL, |value| {
        value.extend_from_slice(&kept.join(&b", "[..]));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_was_paid_for_is_kept_from_shared_caches() {
        for (said, expected) in [
            ("", "private"),
            ("cache-control: public, max-age=60\r\n", "private, max-age=60"),
            (
                "Cache-Control: s-maxage=9,max-age=1\r\nCACHE-CONTROL: No-Store\r\n",
                "private, max-age=1, No-Store",
            ),
            ("cache-control: private=\"x\"\r\n", "private"),
            ("CDN-Cache-Control: max-age=9\r\nsurrogate-control: max-age=9\r\n", "private"),
        ] {
            let mut fields = Fields { lines: said.as_bytes().to_vec(), ..Fields::default() };
            keep_private(&mut fields);
            let expected = format!("cache-control: {expected}\r\n");
            assert_eq!(str::from_utf8(&fields.lines).unwrap(), expected, "{said}");
        }
    }

    #[test]
    fn upstream_says_nothing_of_payments() {
        let said = "x-a: 1\r\nPayment-Response: x\r\npayment-required: y\r\nX-PAYMENT-RESPONSE: z\r\n\
                    payment-responses: 2\r\nPAYMENT-RECEIPT: x\r\nSettlement-Overrides: {}\r\nEXTENSION-RESPONSES: {}\r\n";
        let mut fields = Fields { lines: said.as_bytes().to_vec(), ..Fields::default() };
        drop_said(&mut fields);
        assert_eq!(str::from_utf8(&fields.lines).unwrap(), "x-a: 1\r\npayment-responses: 2\r\n");
    }

    #[test]
    fn upstream_asks_for_no_payment() {
        for (asked, left) in [
            ("Basic realm=\"a, Payment id=1\"", Some("Basic realm=\"a, Payment id=1\"")),
            ("Payment id=\"a\", realm=\"b\"", None),
            ("payment id=a", None),
            ("Payment", None),
            (
                "Basic realm=\"a\", Payment id=\"b, c\", realm=d, Digest x=y",
                Some("Basic realm=\"a\", Digest x=y"),
            ),
            ("Negotiate YWJj==, PAYMENT id=a", Some("Negotiate YWJj==")),
            // It cannot be told where one ends.
            ("Basic realm=\"a, Payment id=b", None),
            ("Basic realm=\"a", Some("Basic realm=\"a")),
        ] {
            let said =
                format!("x-a: 1\r\nWWW-Authenticate: {asked}\r\nwww-authenticate: Bearer\r\n");
            let mut fields = Fields { lines: said.into_bytes(), ..Fields::default() };
            drop_said(&mut fields);
            let found = fields.find_all("www-authenticate");
            let found: Vec<&str> =
                found.iter().map(|value| str::from_utf8(value).unwrap()).collect();
            let expected: Vec<&str> = left.into_iter().chain(["Bearer"]).collect();
            assert_eq!(found, expected, "{asked}");
            assert_eq!(fields.find("x-a"), Some(&b"1"[..]));
        }
    }
}
