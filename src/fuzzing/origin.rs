//! What proxies say of a client.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::input;
use crate::chain::origin::{Origin, is_trusted};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Only a trusted peer is believed, and the client is an address that it told or its own. Whatever a client
/// writes ahead of what the proxies add, it stays who it is.
pub(super) fn fields(data: &[u8]) {
    let trusted: Vec<IpNet> =
        ["10.0.0.0/8", "fd00::/8"].iter().flat_map(|net| net.parse()).collect();
    let fields = input::fields(data);
    assert!(Origin::read(&fields, CLIENT, &trusted).is_none());
    let origin = Origin::read(&fields, PROXY, &trusted).expect("the peer is trusted");
    let chain = origin.chain().as_bytes();
    assert!(chain.ends_with(b"10.0.0.1"));
    let is_told = !is_trusted(&trusted, origin.client());
    assert!(is_told || origin.client() == PROXY || chain.len() > b"10.0.0.1".len());
    for text in data.split(|byte| *byte == b'\n') {
        spoofed("x-forwarded-for", text, ["203.0.113.7", "10.0.0.2"], &trusted);
        spoofed("forwarded", text, ["for=203.0.113.7;proto=https", "for=\"10.0.0.2\""], &trusted);
    }
}

/// Lets a client write `text`, and two proxies add to it: in the same field, and in fields of their own.
fn spoofed(name: &'static str, text: &[u8], added: [&str; 2], trusted: &[IpNet]) {
    let Ok(written) = HeaderValue::from_bytes(text) else { return };
    let name = HeaderName::from_static(name);
    let [client, proxy] = added;
    let joined = [text, b", ", client.as_bytes(), b", ", proxy.as_bytes()].concat();
    let mut together = HeaderMap::new();
    together.extend(HeaderValue::from_bytes(&joined).map(|value| (name.clone(), value)));
    let mut apart = HeaderMap::new();
    apart.append(name.clone(), written);
    for value in added {
        apart.extend(HeaderValue::from_str(value).map(|value| (name.clone(), value)));
    }
    for fields in [together, apart] {
        let origin = Origin::read(&fields, PROXY, trusted);
        assert_eq!(origin.map(|origin| origin.client()), Some(CLIENT), "{fields:?}");
    }
}
