//! What the upstream is told of the trace.

use super::{PARENT, TRACE, start, tables};
use crate::{
    access_log::lines,
    support::{Gateway, KEY, SMALL, Upstream, client::bearer, collector::Collector},
};

/// Sends a request with these fields and gives what the upstream saw of the two.
fn forwarded(
    gateway: &Gateway,
    upstream: &Upstream,
    fields: &[&str],
) -> (Vec<String>, Vec<String>) {
    let key = bearer(KEY);
    let fields = [fields, &[&key]].concat();
    assert_eq!(gateway.request("GET", "/x", &fields).status(), 200);
    let last = upstream.last();
    let seen = |name: &str| last.all(name).into_iter().map(str::to_owned).collect();
    (seen("traceparent"), seen("tracestate"))
}

fn parent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}")
}

/// Splits a field into trace, span and flags.
fn parts(value: &str) -> (String, String, String) {
    let parts: Vec<&str> = value.split('-').collect();
    assert_eq!((parts.len(), parts[0], value.len()), (4, "00", 55), "{value}");
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

#[test]
fn without_traces_both_pass_as_they_came() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let state = format!("tracestate: {}", "x".repeat(600));
    let seen = forwarded(&gateway, &upstream, &["traceparent: ff-none", &state, "tracestate: b"]);
    assert_eq!(seen.0, ["ff-none"]);
    assert_eq!(seen.1, [&"x".repeat(600), "b"]);
    assert_eq!(forwarded(&gateway, &upstream, &[]), (vec![], vec![]));
}

#[test]
fn trace_of_the_caller_goes_on() {
    let (upstream, collector) = (Upstream::ok(), Collector::start());
    let gateway = start(&upstream, &collector, "sample = \"0%\"");
    // The caller's decision stands, whatever the own share is.
    let state = ["tracestate: congo=t61rcWkgMzE", "tracestate: a=1,b=2"];
    let seen = forwarded(&gateway, &upstream, &[&parent("03"), state[0], state[1]]);
    let (trace, span, flags) = parts(&seen.0[0]);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "03"), "random stays as it was");
    assert_eq!(seen.1, ["congo=t61rcWkgMzE", "a=1,b=2"]);
    let spans = collector.wait_spans(2);
    let (server, client) = (&spans[0], &spans[1]);
    assert_eq!((server.kind, server.parent.as_str()), (2, PARENT));
    assert_eq!((client.kind, &client.parent), (3, &server.span_id));
    assert_eq!((&client.span_id, &client.trace_id), (&span, &trace));
    assert_eq!(server.trace_id, TRACE);

    // Not sampled there, so not here; the trace goes on all the same.
    let seen = forwarded(&gateway, &upstream, &[&parent("00")]);
    let (trace, other, flags) = parts(&seen.0[0]);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));
    assert!(other != PARENT && other != span);
    let logged = lines(&gateway, 2);
    assert_eq!(logged[0]["trace_id"], TRACE);
    assert!(logged[1].get("trace_id").is_none(), "{}", logged[1]);
}

#[test]
fn what_is_not_valid_begins_a_trace() {
    let (upstream, collector) = (Upstream::ok(), Collector::start());
    let gateway = start(&upstream, &collector, "");
    let zeros = "0".repeat(32);
    let twice = [parent("01"), parent("01")];
    let cases = [
        vec![],
        vec![String::from("traceparent: ")],
        vec![format!("traceparent: ff-{TRACE}-{PARENT}-01")],
        vec![format!("traceparent: 00-{zeros}-{PARENT}-01")],
        vec![format!("traceparent: 00-{TRACE}-{}-01", &zeros[..16])],
        vec![format!("traceparent: 00-{}-{PARENT}-01", TRACE.to_uppercase())],
        vec![format!("traceparent: 00-{TRACE}-{PARENT}-01-more")],
        twice.to_vec(),
    ];
    for case in &cases {
        let mut fields: Vec<&str> = case.iter().map(String::as_str).collect();
        fields.push("tracestate: a=1");
        let seen = forwarded(&gateway, &upstream, &fields);
        assert_eq!((seen.0.len(), seen.1.len()), (1, 0), "{case:?}: {seen:?}");
        let (trace, _, flags) = parts(&seen.0[0]);
        let id = upstream.last().field("faregate-request-id").unwrap().replace('-', "");
        assert_eq!((trace, flags.as_str()), (id, "01"), "{case:?}");
    }
    let spans = collector.wait_spans(2 * cases.len());
    assert!(spans.iter().filter(|span| span.kind == 2).all(|span| span.parent.is_empty()));
    // A later version is read as far as it is known.
    let later = format!("traceparent: cc-{TRACE}-{PARENT}-01-more");
    let seen = forwarded(&gateway, &upstream, &[&later, "tracestate: a=1"]);
    assert_eq!((parts(&seen.0[0]).0.as_str(), seen.1), (TRACE, vec!["a=1".to_owned()]));
}

#[test]
fn state_that_is_not_valid_is_dropped_alone() {
    let (upstream, collector) = (Upstream::ok(), Collector::start());
    let gateway = start(&upstream, &collector, "");
    let many: Vec<String> = (0..33).map(|n| format!("k{n}=1")).collect();
    let long = format!("a={},b={}", "x".repeat(250), "y".repeat(259));
    for state in ["A=1", "a", "a=1,a=2", &many.join(","), &long] {
        let state = format!("tracestate: {state}");
        let seen = forwarded(&gateway, &upstream, &[&parent("01"), &state]);
        assert_eq!(parts(&seen.0[0]).0, TRACE, "{state}");
        assert_eq!(seen.1, Vec::<String>::new(), "{state}");
    }
    // A client cannot make the gateway drop its own field.
    let named = ["Connection: traceparent, tracestate", "tracestate: a=1"];
    let seen = forwarded(&gateway, &upstream, &[&named[..], &[&parent("01")]].concat());
    assert_eq!((parts(&seen.0[0]).0.as_str(), seen.1.len()), (TRACE, 0));
}

#[test]
fn strangers_may_be_ignored() {
    let (upstream, collector) = (Upstream::ok(), Collector::start());
    let gateway = start(&upstream, &collector, "parent = \"ignore\"");
    let seen = forwarded(&gateway, &upstream, &[&parent("00"), "tracestate: a=1"]);
    let (trace, _, flags) = parts(&seen.0[0]);
    assert!(trace != TRACE && flags == "01" && seen.1.is_empty(), "{seen:?}");
    let span = &collector.wait_spans(2)[0];
    assert_eq!((&span.trace_id, span.parent.as_str()), (&trace, ""));
    assert_eq!(span.links, [(TRACE.to_owned(), PARENT.to_owned())]);
}

/// The table may come, change and go while the gateway runs.
#[test]
fn reload_changes_all_of_it() {
    let (upstream, first, second) = (Upstream::ok(), Collector::start(), Collector::start());
    let gateway = Gateway::start(SMALL, &upstream);
    assert_eq!(forwarded(&gateway, &upstream, &[]).0.len(), 0);
    let reload = |tables: &str| {
        gateway.write(&tables.replace("@UPSTREAM@", &upstream.address().to_string()));
        assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    };
    let table = |collector: &Collector, more: &str| {
        tables(collector, more).replace("[log]\naccess = \"./access.log\"\nlevel = \"error\"\n", "")
    };
    reload(&table(&first, "service = \"one\""));
    forwarded(&gateway, &upstream, &[]);
    first.wait_spans(2);
    reload(&table(&second, "sample = \"0%\"\nservice = \"two\""));
    assert_eq!(parts(&forwarded(&gateway, &upstream, &[]).0[0]).2, "00");
    forwarded(&gateway, &upstream, &[&parent("01")]);
    assert_eq!(second.wait_spans(2).len(), 2);
    let body = &second.requests()[0].body;
    assert_eq!(crate::support::collector::resource(body)["service.name"], "two");
    assert_eq!(first.spans().len(), 2);
    reload(SMALL);
    assert_eq!(forwarded(&gateway, &upstream, &[]).0.len(), 0);
}
