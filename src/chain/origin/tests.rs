use proptest::prelude::*;

use super::*;

const PEER: &str = "10.0.0.1";

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    fields
}

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap()).to_vec()
}

fn origin(lines: &[(&'static str, &str)]) -> Origin {
    Origin::read(&fields(lines), PEER.parse().unwrap(), &trusted()).unwrap()
}

fn client(lines: &[(&'static str, &str)]) -> String {
    origin(lines).client().to_string()
}

#[test]
fn only_a_trusted_peer_is_believed() {
    let fields = fields(&[("x-forwarded-for", "192.0.2.7")]);
    for (peer, believed) in [
        ("10.255.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("2001:db8:1::9", true),
        ("11.0.0.1", false),
        ("192.0.2.7", false),
        ("::1", false),
    ] {
        let origin = Origin::read(&fields, peer.parse().unwrap(), &trusted());
        assert_eq!(origin.is_some(), believed, "{peer}");
    }
}

#[test]
fn client_is_the_first_from_the_right_that_is_not_trusted() {
    for (value, expected) in [
        ("192.0.2.7", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.2", "192.0.2.7"),
        ("203.0.113.9 ,192.0.2.7,10.0.0.3 , 10.0.0.2", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("192.0.2.7, 2001:db8:1::2", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, ::ffff:10.0.0.2", "192.0.2.7"),
        // All are trusted: the outermost of them.
        ("10.0.0.4, 10.0.0.3", "10.0.0.4"),
        // What cannot be read ends it: the last hop before it counts.
        ("192.0.2.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.7, unknown", PEER),
        ("192.0.2.7, , 10.0.0.2", "10.0.0.2"),
        ("192.0.2.7,", PEER),
        ("", PEER),
        ("192.0.2.7 10.0.0.2", PEER),
        ("192.0.2.256", PEER),
        ("192.0.2.07", PEER),
        ("192.0.2.7:", PEER),
        ("192.0.2.7:x", PEER),
        ("192.0.2.7:123456", PEER),
        ("[192.0.2.7]", PEER),
        ("[2001:db8::7", PEER),
        ("[2001:db8::7]4711", PEER),
        ("\u{e9}", PEER),
        // What stands left of the client is not looked at.
        ("\u{e9}, \", 192.0.2.7", "192.0.2.7"),
    ] {
        assert_eq!(client(&[("x-forwarded-for", value)]), expected, "{value}");
    }
    assert_eq!(client(&[]), PEER);
}

#[test]
fn several_fields_are_one_list() {
    let lines = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", "192.0.2.7, 10.0.0.3"),
        ("x-forwarded-for", "10.0.0.2"),
    ];
    let origin = origin(&lines);
    assert_eq!(origin.client().to_string(), "192.0.2.7");
    assert_eq!(origin.chain(), "203.0.113.9, 192.0.2.7, 10.0.0.3, 10.0.0.2, 10.0.0.1");
}

#[test]
fn forwarded_is_read_from_the_right() {
    for (value, expected) in [
        ("for=192.0.2.7", "192.0.2.7"),
        ("For=\"192.0.2.7:4711\"", "192.0.2.7"),
        ("for=192.0.2.7:4711", "192.0.2.7"),
        ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("for=\"[2001:db8::7]:_port\";proto=https", "2001:db8::7"),
        ("proto=https ; by=10.0.0.1; FOR=192.0.2.7;", "192.0.2.7"),
        ("for=192.0.2.7, for=10.0.0.2", "192.0.2.7"),
        ("for=192.0.2.7;by=\"a, for=203.0.113.9; \\\" ,\", for=10.0.0.2", "192.0.2.7"),
        ("for=\"\\192.0.2.7\"", "192.0.2.7"),
        // A quotation mark that the client leaves open hides nothing of what the proxies add.
        ("for=\"x, for=192.0.2.7", "192.0.2.7"),
        ("for=\"x, for=\"192.0.2.7\"", "192.0.2.7"),
        ("for=x\\, for=192.0.2.7;host=\"a\"", "192.0.2.7"),
        ("for=192.0.2.7, for=unknown, for=10.0.0.2", "10.0.0.2"),
        ("for=192.0.2.7, for=_gazonk, for=10.0.0.2", "10.0.0.2"),
        ("for=192.0.2.7, proto=https, for=10.0.0.2", "10.0.0.2"),
        ("for=192.0.2.7, , for=10.0.0.2", "10.0.0.2"),
        ("for=192.0.2.7;for=192.0.2.7", PEER),
        ("for=192.0.2.7;proto", PEER),
        ("for=\"192.0.2.7", PEER),
        ("for=192.0.2.7\"", PEER),
        ("for=\"192.0.2.7\\\"", PEER),
        ("for=\"192.0\"\"2.7\"", PEER),
        ("for=", PEER),
        ("for = 192.0.2.7", PEER),
        ("192.0.2.7", PEER),
        ("", PEER),
    ] {
        assert_eq!(client(&[("forwarded", value)]), expected, "{value}");
    }
    let lines = [("forwarded", "for=192.0.2.7, for=\"x"), ("forwarded", "for=10.0.0.2")];
    assert_eq!(client(&lines), "10.0.0.2");
    let lines = [("forwarded", "for=192.0.2.7"), ("forwarded", "for=\"[2001:db8:1::2]\"")];
    let origin = origin(&lines);
    assert_eq!(origin.client().to_string(), "192.0.2.7");
    assert_eq!(origin.chain(), "192.0.2.7, 2001:db8:1::2, 10.0.0.1");
}

#[test]
fn families_are_not_mixed() {
    let custom = [
        ("forwarded", "for=203.0.113.9;host=spoof.test;proto=https"),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    let read = origin(&custom);
    assert_eq!(read.client().to_string(), "192.0.2.7");
    assert_eq!((read.scheme(), read.host()), (Scheme::Http, None));
    assert_eq!(read.chain(), "192.0.2.7, 10.0.0.1");
    let standard = [
        ("forwarded", "for=192.0.2.7;host=\"a.test:81\";proto=http"),
        ("x-forwarded-host", "spoof.test"),
        ("x-forwarded-proto", "https"),
    ];
    let read = origin(&standard);
    assert_eq!((read.scheme(), read.host().unwrap().authority()), (Scheme::Http, "a.test:81"));
}

#[test]
fn nearest_proxy_says_scheme_and_host() {
    for (proto, host, scheme, authority) in [
        ("https", "a.test", Scheme::Https, Some("a.test")),
        ("HTTPS", "A.Test.:8443", Scheme::Https, Some("a.test:8443")),
        ("https, http", "spoof.test, a.test", Scheme::Http, Some("a.test")),
        ("http,https", "[2001:db8::7]", Scheme::Https, Some("[2001:db8::7]")),
        ("wss", "a/b", Scheme::Http, None),
        ("https,", "a.test,", Scheme::Http, None),
        ("", "user@a.test", Scheme::Http, None),
    ] {
        let custom = [("x-forwarded-proto", proto), ("x-forwarded-host", host)];
        let read = origin(&custom);
        let said = (read.scheme(), read.host().map(Host::authority));
        assert_eq!(said, (scheme, authority), "{proto} {host}");
    }
    let read = origin(&[("forwarded", "host=spoof.test, for=unknown;host=a.test;proto=https")]);
    assert_eq!((read.scheme(), read.host().unwrap().authority()), (Scheme::Https, "a.test"));
}

#[test]
fn request_id_is_kept_if_it_is_sane() {
    let id = |value: &str| {
        let read = origin(&[("x-request-id", value)]);
        read.request_id().map(|id| id.to_str().unwrap().to_owned())
    };
    let long = "x".repeat(129);
    for kept in ["a", "Root=1-67891233-abcdef", &long[..128], "\"{}<>\\"] {
        assert_eq!(id(kept).as_deref(), Some(kept));
    }
    for dropped in ["", "a b", "a\tb", "\u{e9}", &long] {
        assert_eq!(id(dropped), None, "{dropped}");
    }
    let two = origin(&[("x-request-id", "a"), ("x-request-id", "a")]);
    assert_eq!(two.request_id(), None);
}

proptest! {
    /// Whatever a client writes, what the proxies add to the right decides.
    #[test]
    fn nothing_a_client_writes_hides_it(
        noise in "[ -~]{0,40}",
        is_standard: bool,
        hops in 0_u8..4,
        is_one_field: bool,
    ) {
        let (name, before) = if is_standard { ("forwarded", "for=") } else { ("x-forwarded-for", "") };
        let mut added = format!("{before}192.0.2.7");
        for hop in 0..hops {
            added.push_str(&format!(", {before}10.0.0.{hop}"));
        }
        let lines = match is_one_field {
            true => vec![(name, format!("{noise}, {added}"))],
            false => vec![(name, noise), (name, added)],
        };
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        prop_assert_eq!(client(&lines), "192.0.2.7");
    }

    /// Any value is survived, and gives a client.
    #[test]
    fn noise_is_survived(noise in "[,;=\"\\\\a-z0-9.:\\[\\]_ -]{0,60}", is_standard: bool) {
        let name = if is_standard { "forwarded" } else { "x-forwarded-for" };
        let read = origin(&[(name, &noise)]);
        prop_assert!(read.chain().to_str().unwrap().ends_with(PEER));
    }
}
