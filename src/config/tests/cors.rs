use super::*;

fn cors(table: &str) -> Cors {
    config(&format!("[cors]\n{table}")).cors.unwrap()
}

fn names(headers: &[HeaderName]) -> Vec<&str> {
    headers.iter().map(HeaderName::as_str).collect()
}

#[test]
fn cors_has_defaults() {
    assert!(config("").cors.is_none());
    let given = cors("origins = [\"https://app.example.com\", \"capacitor://localhost\"]");
    assert_eq!(given.origins, ["https://app.example.com".into(), "capacitor://localhost".into()]);
    assert_eq!(names(&given.headers), ["authorization", "content-type", "x-api-key"]);
    assert_eq!((given.expose.len(), given.credentials), (0, false));
    assert_eq!(given.max_age, Duration::from_secs(600));
    // A page can send a key wherever one is looked for in a field.
    let own = config(
        "[auth]\nlocations = [\"header:X-Key\", \"query:key\", \"x-api-key\"]\n[cors]\norigins = [\"*\"]",
    );
    let expected = ["authorization", "content-type", "x-api-key", "x-key"];
    assert_eq!(names(&own.cors.unwrap().headers), expected);
}

#[test]
fn cors_as_written_is_described() {
    let table = "origins = [\"https://a.example\"]\nheaders = [\"X-One\"]\n\
                 expose = [\"Server-Timing\"]\ncredentials = true\nmax_age = \"0s\"";
    let expected = serde_json::json!({
        "origins": ["https://a.example"], "headers": ["x-one"], "expose": ["server-timing"],
        "credentials": true, "max_age": "0s",
    });
    assert_eq!(describe(&config(&format!("[cors]\n{table}")))["cors"], expected);
    assert_eq!(describe(&config(""))["cors"], serde_json::Value::Null);
}

#[test]
fn wrong_cors_is_told() {
    insta::assert_snapshot!("cors_without_anything", report("[cors]\n"));
    let wrong = "origins = [\"https://a.example/\", \"https://b.example/app\", \"c.example\", \"null\", \
                 \"*\",\n  \"https://d.example\", \"https://d.example\", 7]\n\
                 headers = [\"x one\", \"*\", \"X-Two\", \"x-two\"]\nexpose = \"x-three\"\n\
                 credentials = true\nmax_age = \"25h\"\nexposed = []";
    insta::assert_snapshot!("cors_that_is_wrong", report(&format!("[cors]\n{wrong}")));
    for (table, message) in [
        ("origins = []", "no page of any origin is allowed"),
        ("origins = [\"*\"]\ncredentials = true", "no credentials where any origin is allowed"),
        ("origins = [\"*\"]\nmax_age = \"1500ms\"", "told in whole seconds"),
        ("origins = [\"https://user:s3cr3t@a\"]", "no user name or password"),
    ] {
        let text = report(&format!("[cors]\n{table}"));
        assert!(text.contains(message) && !text.contains("s3cr3t"), "{table}: {text}");
    }
}

/// The commented table of the example is one that works, and says the defaults.
#[test]
fn example_of_cors_can_be_used() {
    let text = std::fs::read_to_string(example("faregate.toml")).unwrap();
    let from = text.lines().skip_while(|line| !line.starts_with("# [cors]")).skip(1);
    let table = from.take_while(|line| !line.starts_with('['));
    let options = table.filter_map(|line| line.strip_prefix("# "));
    let options: Vec<&str> = options.filter(|line| line.contains(" = ")).collect();
    assert_eq!(options.len(), 5);
    assert_eq!(cors(&options.join("\n")), cors("origins = [\"https://app.example.com\"]"));
}
