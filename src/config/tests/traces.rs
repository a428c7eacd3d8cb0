use super::*;
use crate::telemetry::traces::{Parent, Share};

/// Reads a `[traces]` table beside a file with a secret.
fn load(table: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "Bearer s3cr3t").unwrap();
    let text = complete(&format!("[traces]\n{table}"));
    Loaded::parse(&text, &directory.path().join(PATH))
}

fn told(table: &str) -> String {
    load(table).report().render(Purpose::Run, Colour::Plain)
}

#[test]
fn traces_have_defaults() {
    assert!(config("").traces.is_none());
    let config = load("endpoint = \"http://127.0.0.1:4318\"").into_config().unwrap();
    let traces = config.traces.clone().unwrap();
    assert_eq!(
        (traces.sample, traces.parent, &*traces.service),
        (Share::ALL, Parent::Continue, "faregate")
    );
    assert!(traces.headers.is_empty());
    let expected = serde_json::json!({
        "endpoint": "http://127.0.0.1:4318/***", "headers": {}, "sample": "100%",
        "parent": "continue", "service": "faregate",
    });
    assert_eq!(describe(&config)["traces"], expected);
}

#[test]
fn wrong_traces_are_told() {
    insta::assert_snapshot!("traces_without_anything", report("[traces]\n"));
    let wrong = "endpoint = \"http://h:4318/s3cr3t/v1/traces\"\nsample = 0.1\nparent = \"ignored\"\n\
                 service = \"\"\nheaders = { authorization = \"s3cr3t\", content-type = \"a/b\", x = 5 }\n\
                 sampel = \"10%\"";
    let text = report(&format!("[traces]\n{wrong}"));
    assert!(!text.contains("s3cr3t"), "{text}");
    insta::assert_snapshot!("traces_that_are_wrong", text);
    for (endpoint, message) in [
        ("127.0.0.1:4318", "this is not a URL"),
        ("grpc://h", "scheme is not http or https"),
        ("http://user:s3cr3t@h", "a user name or a password"),
        ("http://h/?k=s3cr3t", "a query or fragment"),
        ("http://127.0.0.1:8403", "the gateway's own address"),
    ] {
        let text = told(&format!("endpoint = \"{endpoint}\""));
        assert!(text.contains(message) && !text.contains("s3cr3t"), "{endpoint}: {text}");
    }
    for sample in ["101%", "10", "", "0.00001%"] {
        let text = told(&format!("endpoint = \"http://h\"\nsample = \"{sample}\""));
        assert!(text.contains("is not a percentage from 0% to 100%"), "{sample}: {text}");
    }
}

#[test]
fn likely_mistakes_are_warnings() {
    let header = "headers = { authorization = { file = \"token\" } }";
    for (table, warning) in [
        ("endpoint = \"http://127.0.0.1:4318\"".to_owned(), None),
        (format!("endpoint = \"http://127.0.0.1:4318\"\n{header}"), None),
        (format!("endpoint = \"https://collector.example\"\n{header}"), None),
        ("endpoint = \"http://collector.example:4318\"".to_owned(), None),
        (format!("endpoint = \"http://collector.example:4318\"\n{header}"), Some("go over http")),
        ("endpoint = \"http://127.0.0.1:4317\"".to_owned(), Some("OTLP over gRPC")),
    ] {
        let loaded = load(&table);
        assert!(!loaded.report().has(Severity::Error), "{table}");
        assert_eq!(loaded.report().has(Severity::Warning), warning.is_some(), "{table}");
        assert!(told(&table).contains(warning.unwrap_or_default()), "{table}");
    }
}

/// The commented table of the example is one that works, and has the defaults where it says so.
#[test]
fn example_of_traces_can_be_used() {
    let text = std::fs::read_to_string(example("faregate.toml")).unwrap();
    let from = text.lines().skip_while(|line| !line.starts_with("# [traces]")).skip(1);
    let table = from.take_while(|line| !line.starts_with("[auth]"));
    let options =
        table.filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
    let env = "{ env = \"OTLP_TOKEN\" }";
    let options: Vec<String> =
        options.map(|line| line.replace(env, "{ file = \"token\" }")).collect();
    assert_eq!(options.len(), 5);
    let traces = load(&options.join("\n")).into_config().unwrap().traces.unwrap();
    assert_eq!(
        (traces.sample, traces.parent, &*traces.service),
        (Share::ALL, Parent::Continue, "faregate")
    );
    assert_eq!(traces.headers.len(), 1);
}
