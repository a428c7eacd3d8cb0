//! What a client says it can pay by (`Accept-Payment`): `evm/charge, tempo/*;q=0.5`.

/// What is said of some methods and intents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Range<'a> {
    /// `None` is any.
    method: Option<&'a str>,
    intent: Option<&'a str>,
    /// In thousandths; 0 is refused.
    quality: u16,
}

/// Gives the places of those that a client takes, the dearest to it first; what it holds as dear stays in its order. All
/// of them where it says nothing that can be read, or takes none: to offer nothing would help nobody.
pub(super) fn order(said: Option<&[u8]>, offered: &[(&str, &str)]) -> Vec<usize> {
    let ranges = said.and_then(|said| parse(str::from_utf8(said).ok()?)).unwrap_or_default();
    let quality = |index: &usize| {
        let (method, intent) = offered.get(*index).copied().unwrap_or_default();
        let of = |range: &&Range<'_>| {
            range.method.is_none_or(|given| given == method)
                && range.intent.is_none_or(|given| given == intent)
        };
        let precise =
            |range: &&Range<'_>| (range.method.is_some(), range.intent.is_some(), range.quality);
        ranges.iter().filter(of).max_by_key(precise).map_or(0, |range| range.quality)
    };
    let mut taken: Vec<usize> = (0..offered.len()).filter(|index| quality(index) > 0).collect();
    if taken.is_empty() {
        return (0..offered.len()).collect();
    }
    taken.sort_by_key(|index| std::cmp::Reverse(quality(index)));
    taken
}

fn parse(said: &str) -> Option<Vec<Range<'_>>> {
    let members = said.split(',').map(str::trim).filter(|member| !member.is_empty());
    members.map(range).collect()
}

fn range(member: &str) -> Option<Range<'_>> {
    let (name, params) = member.split_once(';').unwrap_or((member, ""));
    let (method, intent) = name.trim().split_once('/')?;
    let part = |text: &str| -> bool {
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.is_empty()
    };
    let is_known = |text: &&str| *text != "*";
    if [method, intent].into_iter().filter(is_known).any(|text| !part(text)) {
        return None;
    }
    let mut quality = 1000;
    for param in params.split(';').map(str::trim).filter(|param| !param.is_empty()) {
        let (name, value) = param.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("q") {
            quality = thousandths(value.trim())?;
        }
    }
    Some(Range {
        method: Some(method).filter(is_known),
        intent: Some(intent).filter(is_known),
        quality,
    })
}

/// Reads a weight (RFC 9110 section 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_takes_is_offered_in_its_order() {
        const OFFERED: [(&str, &str); 3] =
            [("evm", "charge"), ("lightning", "charge"), ("lightning", "session")];
        let named = |said: Option<&str>| order(said.map(str::as_bytes), &OFFERED);
        for (said, expected) in [
            ("evm/charge", &[0][..]),
            ("lightning/*", &[1, 2]),
            ("*/charge", &[0, 1]),
            ("*/*", &[0, 1, 2]),
            ("evm/charge;q=0.5, lightning/charge", &[1, 0]),
            ("evm/charge;q=0.1,lightning/charge;q=0.11, tempo/charge", &[1, 0]),
            ("lightning/session, lightning/charge, evm/charge", &[0, 1, 2]),
            ("*/*;q=0.5, evm/charge;q=0", &[1, 2]),
            ("evm/charge;q=0, */*;q=0.5", &[1, 2]),
            ("lightning/*;q=0.2, */charge;q=0.9", &[0, 1, 2]),
            (" evm/charge ; q=1.000 ,, ", &[0]),
            ("evm/charge;x=1;Q=0.001", &[0]),
            // What takes none of them, and what cannot be read, is as if it were not said.
            ("tempo/charge", &[0, 1, 2]),
            ("evm/charge;q=0", &[0, 1, 2]),
            ("", &[0, 1, 2]),
            ("lightning", &[0, 1, 2]),
            ("lightning/charge;q=2", &[0, 1, 2]),
            ("lightning/charge;q=0.0001", &[0, 1, 2]),
            ("lightning/charge;q=-1", &[0, 1, 2]),
            ("lightning/charge;q", &[0, 1, 2]),
            ("Lightning/charge", &[0, 1, 2]),
            ("lightning/", &[0, 1, 2]),
            ("lightning/charge/x", &[0, 1, 2]),
        ] {
            assert_eq!(named(Some(said)), expected, "{said}");
        }
        assert_eq!(named(None), [0, 1, 2]);
        assert_eq!(order(Some(b"\xff"), &OFFERED), [0, 1, 2]);
    }
}
