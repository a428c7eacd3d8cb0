//! Lists of networks, and the proxies that are trusted.

use ipnet::IpNet;

use crate::config::{
    file::{Field, Spanned},
    report::{Problem, Problems},
};

/// Checks a list of networks.
pub(super) fn check(list: &[Spanned<IpNet>], problems: &mut Problems) -> Vec<IpNet> {
    for Spanned { value: network, span } in list {
        if network.trunc() != *network {
            let message = "the address has digits beyond its prefix, which are not compared";
            let help = format!("write \"{}\", or \"{}\"", network.trunc(), network.addr());
            problems.add(Problem::warning(*span, message).help(help));
        }
    }
    list.iter().map(|network| network.value.trunc()).collect()
}

/// Checks `trusted_proxies`. A network of everything is no mistake where nothing else can connect,
/// but elsewhere whoever calls could say that it is somebody else.
pub(super) fn check_trusted(
    field: &Field<Vec<Spanned<IpNet>>>,
    problems: &mut Problems,
) -> Vec<IpNet> {
    let Some(Spanned { value: list, .. }) = field.given() else { return Vec::new() };
    for Spanned { value: network, span } in list.iter().filter(|network| is_all(network)) {
        let message = format!("with `{network}` every client is believed about its own address");
        let help = "write the networks of the proxies before the gateway alone";
        problems.add(Problem::warning(*span, message).help(help));
    }
    check(list, problems)
}

fn is_all(network: &Spanned<IpNet>) -> bool {
    network.value.prefix_len() == 0
}

/// Checks `proxy_protocol`: nobody could connect where no proxy is trusted.
pub(super) fn check_proxy_protocol(
    field: &Field<bool>,
    trusted: &Field<Vec<Spanned<IpNet>>>,
    problems: &mut Problems,
) -> bool {
    let Some(Spanned { value: is_on, span }) = field.given() else { return false };
    // A list of which nothing could be read has its own problems.
    let is_empty =
        |list: &Spanned<Vec<_>>| list.value.is_empty() && !problems.any_within(list.span);
    let has_none = trusted.is_absent() || trusted.given().is_some_and(is_empty);
    if *is_on && has_none {
        let message = "`proxy_protocol` without `trusted_proxies` would let nobody connect";
        let help =
            "add trusted_proxies = [\"…\"], the networks of the proxies that send the header";
        problems.add(Problem::error(*span, message).help(help));
    }
    *is_on
}
