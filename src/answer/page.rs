//! A refusal as a page, for a person whose browser asks for one: what is wrong, what it costs, and how to pay.
//!
//! It says what the document for programs says and has the same fields. Nothing in it is brought from elsewhere or can
//! run, and what others wrote is escaped.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::{
    Denial, Refusal,
    problem::{Context, Problem},
};
use crate::pay::Offer;

/// The looks of the page.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;\
    padding:0 1em;color:#222;background:#fff}h1{font-size:1.5em}dt{font-weight:600}\
    dd{margin:0 0 .6em;overflow-wrap:anywhere}footer{margin-top:3em;color:#666;font-size:.85em}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8bf}footer{color:#999}}";

/// What a browser may do with it: show it in these looks, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

static CONTENT_SECURITY_POLICY: HeaderName = header::CONTENT_SECURITY_POLICY;

/// Puts a page in the place of a refusal's document, if it is one that money helps with and a page is asked for.
pub fn instead(
    problem: Problem,
    refusal: &Refusal,
    context: &Context<'_>,
    asked: &HeaderMap,
) -> Problem {
    match refusal {
        Refusal::Denial(denial)
            if denial.code().status() == StatusCode::PAYMENT_REQUIRED && is_preferred(asked) =>
        {
            page(problem, denial, context)
        }
        _ => problem,
    }
}

fn page(problem: Problem, denial: &Denial, context: &Context<'_>) -> Problem {
    let Problem { status, mut fields, body: _ } = problem;
    fields.remove_beginning(b"content-type:");
    fields.push_text(&header::CONTENT_TYPE, "text/html; charset=utf-8");
    fields.push_text(&CONTENT_SECURITY_POLICY, &POLICY);
    fields.push_text(&header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    fields.push_text(&header::REFERRER_POLICY, "no-referrer");
    Problem { status, fields, body: Bytes::from(text(denial, context)) }
}

fn text(denial: &Denial, context: &Context<'_>) -> String {
    let code = denial.code();
    let title = escaped(code.title());
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escaped(&denial.detail())
    );
    let [scheme, authority] = context.base_url.parts();
    let own = |path: &str| format!("{scheme}{authority}{}/{path}", context.prefix);
    let mut links = Vec::new();
    if let Some(href) = context.upgrade_url {
        links.push((href.to_owned(), "Buy or renew a plan"));
    }
    links.push((own("plans"), "What can be bought"));
    links.push((own(&format!("problems/{}", code.name())), "What this means, and what to do"));
    if let Some(offer) = context.paying.offer.filter(|_| denial.asks_for_payment()) {
        push_offer(offer, &mut text);
    }
    if let Denial::PaymentRequired { takes_keys: true, .. } = denial {
        text.push_str(
            "<h2>With an API key</h2>\n<p>Send the key of a customer whose plan covers the call, \
             as <code>Authorization: Bearer KEY</code>.</p>\n",
        );
    }
    text.push_str("<h2>More</h2>\n<ul>\n");
    for (href, words) in links {
        text.push_str(&format!("<li><a href=\"{}\">{words}</a></li>\n", escaped(&href)));
    }
    let status = code.status().as_u16();
    let id = context.request_id.hyphenated();
    text.push_str(&format!(
        "</ul>\n<footer>{status} <code>{}</code> · request <code>{id}</code></footer>\n\
         </body>\n</html>\n",
        code.name()
    ));
    text
}

/// Tells what one call costs, and how a program pays it.
fn push_offer(offer: &Offer, text: &mut String) {
    text.push_str(
        "<h2>For this call alone</h2>\n<p>A program with a wallet pays as it calls: a client of \
         x402 reads the offer in the field <code>PAYMENT-REQUIRED</code> of this answer, signs it, \
         and asks again.</p>\n",
    );
    if offer.mpp().is_some() {
        text.push_str(
            "<p>A client of the scheme <code>Payment</code> (MPP) reads it in the field \
             <code>WWW-Authenticate</code>.</p>\n",
        );
    }
    text.push_str("<dl>\n");
    let price = offer.price.to_string();
    let rows = [("Price", price.as_str())].into_iter().chain(offer.x402().parts());
    for (name, value) in rows {
        text.push_str(&format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(value)));
    }
    text.push_str("</dl>\n");
}

/// Writes a text so that it is nothing but text, in an element and between quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Tells whether a page is liked better than a document for programs (RFC 9110 section 12.5.1). Who likes both alike is
/// a program.
fn is_preferred(asked: &HeaderMap) -> bool {
    let documents = ["application/json", "application/problem+json"];
    let document = documents.map(|name| quality(asked, name)).into_iter().max();
    quality(asked, "text/html") > document.unwrap_or(0)
}

/// Gives how well a type is liked, in thousandths: by the range that names it most closely.
fn quality(asked: &HeaderMap, name: &str) -> u16 {
    let family = name.split('/').next().unwrap_or_default();
    let values = asked.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(','));
    let best = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let range = parts.next()?;
        let closeness = match range.split_once('/')? {
            _ if range.eq_ignore_ascii_case(name) => 2,
            (of, "*") if of.eq_ignore_ascii_case(family) => 1,
            ("*", "*") => 0,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        Some((closeness, weight.map_or(1000, thousandths)))
    });
    best.max().map_or(0, |(_, quality)| quality)
}

/// Reads a weight such as `0.8`; what is none is the least.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "1" if is_weight && fraction == 0 => 1000,
        "0" if is_weight => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_for_who_likes_it_better() {
        for (accept, expected) in [
            (vec!["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], true),
            (vec!["text/html"], true),
            (vec!["TEXT/HTML"], true),
            (vec!["text/*"], true),
            (vec!["text/html;q=0.5, */*;q=0.4"], true),
            (vec!["application/json;q=0.1", "text/html;q=0.2"], true),
            (vec!["text/html;level=1;q=1"], true),
            (vec![], false),
            (vec!["*/*"], false),
            (vec!["application/json"], false),
            (vec!["text/html, application/json"], false),
            (vec!["text/html, application/problem+json"], false),
            (vec!["text/html;q=0.5, application/json;q=0.501"], false),
            (vec!["text/html;q=0, */*"], false),
            (vec!["text/html;q=0"], false),
            (vec!["text/html;q=1.5"], false),
            (vec!["text/html;q=x"], false),
            (vec!["text/html;q=0.8, */*;q=0.8"], false),
            (vec!["image/png"], false),
            (vec!["text", "/", ",;,"], false),
        ] {
            let mut asked = HeaderMap::new();
            for value in &accept {
                asked.append(header::ACCEPT, value.parse().unwrap());
            }
            assert_eq!(is_preferred(&asked), expected, "{accept:?}");
        }
    }

    #[test]
    fn what_others_wrote_is_text() {
        assert_eq!(
            escaped("<a href='x' b=\"y\">&amp;"),
            "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;"
        );
    }
}
