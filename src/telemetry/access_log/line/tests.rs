use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Option<&'static Arc<str>> {
    Some(Box::leak(Box::new(text.into())))
}

fn line() -> Line<'static> {
    Line {
        time: "2026-11-20T14:41:25.5Z".parse().unwrap(),
        request_id: Uuid::from_u128(7),
        trace_id: None,
        outward_id: None,
        client: [192, 0, 2, 1].into(),
        method: "GET",
        path: "/v1/stats",
        route: name("stats"),
        customer: name("acme"),
        application: None,
        key_id: name("acme-key"),
        plan: name("starter"),
        status: 402,
        code: Some("plan_upgrade_required"),
        shadow: None,
        ending: Some("refused"),
        charged: 12,
        credit: None,
        bytes: 80,
        duration: Duration::from_nanos(1_202_125_999),
    }
}

fn text(line: &Line<'_>) -> String {
    let mut text = Vec::new();
    line.push_text(&mut text);
    String::from_utf8(text).unwrap()
}

fn json(line: &Line<'_>) -> String {
    let mut text = Vec::new();
    line.push_json(&Clock::default(), &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn json_is_the_contract() {
    let mut line = line();
    assert_eq!(
        json(&line),
        concat!(
            r#"{"time":"2026-11-20T14:41:25.500000Z","#,
            r#""request_id":"00000000-0000-0000-0000-000000000007","client":"192.0.2.1","#,
            r#""method":"GET","path":"/v1/stats","route":"stats","customer":"acme","#,
            r#""application":null,"key_id":"acme-key","plan":"starter","status":402,"#,
            r#""code":"plan_upgrade_required","shadow":null,"ending":"refused","charged":12,"#,
            r#""bytes":80,"duration_ms":1202.125}"#,
            "\n"
        )
    );
    line.trace_id = Some(TraceId([1; 16]));
    line.time = "2026-11-20T14:41:25Z".parse().unwrap();
    let given = HeaderValue::from_static("a\"b");
    line.outward_id = Some(&given);
    line.client = "2001:db8::1".parse().unwrap();
    line.duration = Duration::from_nanos(7_999);
    let json = json(&line);
    for expected in [
        r#""time":"2026-11-20T14:41:25Z""#,
        r#""trace_id":"01010101010101010101010101010101""#,
        r#""client":"2001:db8::1""#,
        r#""x_request_id":"a\"b","route""#,
        r#""duration_ms":0.007"#,
    ] {
        assert!(json.contains(expected), "{expected} in {json}");
    }
}

#[test]
fn lines_of_one_second_and_the_next_tell_their_own_time() {
    let clock = Clock::default();
    for time in
        ["2026-11-20T14:41:25.000001Z", "2026-11-20T14:41:25.999999Z", "2026-11-20T14:41:26Z"]
    {
        let mut text = Vec::new();
        Line { time: time.parse().unwrap(), ..line() }.push_json(&clock, &mut text);
        let parsed: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(parsed["time"], time);
    }
}

proptest! {
    /// Whatever the texts of others are, a line is one JSON object with these very texts.
    #[test]
    fn no_text_breaks_a_line_open(path in any::<String>(), customer in "[\\x00-\\x7f\u{e9}]{0,20}") {
        let json = json(&Line { path: &path, customer: name(&customer), ..line() });
        prop_assert_eq!(json.matches('\n').count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&parsed["path"], &path);
        prop_assert_eq!(&parsed["customer"], &customer);
    }
}

#[test]
fn text_stands_under_its_heading() {
    let text = text(&line());
    assert_eq!(
        text,
        "14:41:25Z  402     plan_upgrade_required     acme          12   1202.1  GET /v1/stats\n"
    );
    for (heading, value) in [("status", "402"), ("customer", "acme"), ("request", "GET")] {
        assert_eq!(TEXT_HEADING.find(heading), text.find(value), "{heading}");
    }
    for (heading, value) in [("units", "12"), ("ms", "1202.1")] {
        let end = |text: &str, word: &str| text.find(word).map(|start| start + word.len());
        assert_eq!(end(TEXT_HEADING, heading), end(&text, value), "{heading}");
    }
}

#[test]
fn text_of_a_caller_cannot_move_the_cursor() {
    let path = "/\u{1b}[2J\n";
    let text = text(&Line { path, code: None, customer: None, ..line() });
    assert!(text.ends_with("  GET /?[2J?\n"), "{text:?}");
    assert!(text.contains("  refused                   -   "), "{text:?}");
}
