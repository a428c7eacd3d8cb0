//! Origins as browsers write them (RFC 6454 section 6.2), since they are compared byte by byte.

use super::super::url::Url;
use crate::config::{
    report::{Problem, Span},
    wording::quote,
};

const EXAMPLE: &str = "write scheme and host alone, such as \"https://app.example.com\"";

/// Tells what keeps a text from being an origin that a browser could send.
pub(super) fn check(text: &str, span: Span) -> Result<(), Problem> {
    let bad = |message: &str, help: String| Err(Problem::error(span, message).help(help));
    if text.contains('@') {
        let problem = Problem::error(span, "an origin has no user name or password");
        return Err(problem.help(EXAMPLE).hidden());
    }
    if text == "null" {
        let message = "`null` is what local files and sandboxed pages send, whoever made them";
        return bad(message, "list the origins of your own pages".to_owned());
    }
    if text.contains('*') {
        let message = "a part of an origin cannot be `*`";
        return bad(message, "list each origin, or write [\"*\"] for any".to_owned());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return bad("the origin has no scheme", format!("write it as {}", quote_with_scheme(text)));
    };
    if let Some(host) = rest.strip_suffix('/').filter(|host| !host.contains(['/', '?', '#'])) {
        let help = format!("write {}", quote(&format!("{scheme}://{host}")));
        return bad("an origin has no slash at its end", help);
    }
    if let Some(at) = rest.find(['/', '?', '#']) {
        let bare = rest.get(..at).unwrap_or_default();
        let help = format!("write {}", quote(&format!("{scheme}://{bare}")));
        return bad("an origin has no path, query or fragment", help);
    }
    if text.chars().any(|c| c.is_ascii_uppercase()) {
        let help = format!("write {}", quote(&text.to_ascii_lowercase()));
        return bad("browsers write an origin in lower case", help);
    }
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        // Of an application or an extension.
        _ if is_scheme(scheme) && is_host(rest) => return Ok(()),
        _ => return bad("this is not an origin", EXAMPLE.to_owned()),
    };
    let url = Url::parse(text).map_err(|bad| bad.into_problem(span))?;
    match (url.port, rest.rsplit_once(':')) {
        (Some(port), Some((host, _))) if port == own_port => {
            let help = format!("write {}", quote(&format!("{scheme}://{host}")));
            bad("browsers leave out the port that is the scheme's own", help)
        }
        // One with zeros before it reads as the same number, and is another text.
        (Some(port), Some((host, digits))) if digits != port.to_string() => {
            let help = format!("write {}", quote(&format!("{scheme}://{host}:{port}")));
            bad("the port has zeros before it", help)
        }
        _ => Ok(()),
    }
}

fn quote_with_scheme(text: &str) -> String {
    let is_host = text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._:".contains(&c));
    if text.is_empty() || !is_host {
        return quote("https://app.example.com");
    }
    quote(&format!("https://{}", text.to_ascii_lowercase()))
}

fn is_scheme(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"+-.".contains(&c);
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(is_allowed)
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    !host.is_empty() && host.bytes().all(is_allowed) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_browsers_are_taken() {
        for text in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "https://[2001:db8::1]:8443",
            "https://xn--mnchen-3ya.example",
            "https://a.example:80",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
        ] {
            assert!(check(text, Span::default()).is_ok(), "{text}");
        }
    }

    #[test]
    fn others_are_explained() {
        for (text, message, help) in [
            ("app.example.com", "no scheme", "`https://app.example.com`"),
            ("App.example.com:8443", "no scheme", "`https://app.example.com:8443`"),
            ("", "no scheme", "`https://app.example.com`"),
            ("https://a.example/", "no slash at its end", "write `https://a.example`"),
            ("https://a.example/app", "no path", "write `https://a.example`"),
            ("https://a.example?x", "no path", "write `https://a.example`"),
            ("https://a.example#", "no path", "write `https://a.example`"),
            ("null", "sandboxed", "your own pages"),
            ("https://*.example.com", "cannot be `*`", "list each origin"),
            ("https://A.example", "lower case", "write `https://a.example`"),
            ("HTTPS://a.example", "lower case", "write `https://a.example`"),
            ("https://a.example:443", "scheme's own", "write `https://a.example`"),
            ("http://[::1]:80", "scheme's own", "write `http://[::1]`"),
            ("https://a.example:08443", "zeros before it", "write `https://a.example:8443`"),
            ("https://a.example:0", "port is not a number", "behind the host"),
            ("https://a.example.", "not in its normal form", "write `a.example`"),
            ("https://", "no valid host", "write a name"),
            ("https://münchen.example", "no valid host", "write a name"),
            ("capacitor://", "not an origin", "scheme and host"),
            ("-x://a", "not an origin", "scheme and host"),
        ] {
            let problem = check(text, Span::default()).unwrap_err();
            assert!(problem.message.contains(message), "{text}: {}", problem.message);
            let given = problem.help.unwrap();
            assert!(given.contains(help), "{text}: {given}");
        }
        let hidden = check("https://user:s3cr3t@a.example", Span::default()).unwrap_err();
        assert!(hidden.hidden && !format!("{hidden:?}").contains("s3cr3t"));
    }
}
