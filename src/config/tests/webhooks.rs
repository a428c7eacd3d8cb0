use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Reads a `[webhooks]` table beside files with a good secret, a second one and a bad one.
fn load(table: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("secret", SECRET),
        ("old", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"),
        ("bad", "hush-hush"),
        ("short", "whsec_aHVzaA=="),
    ] {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    let text = complete(&format!("[webhooks]\n{table}"));
    Loaded::parse(&text, &directory.path().join(PATH))
}

fn told(table: &str) -> String {
    let loaded = load(table);
    loaded.report().render(Purpose::Run, Colour::Plain)
}

#[test]
fn webhooks_of_the_operator() {
    let secrets = "secret = { file = \"secret\" }\nprevious_secret = { file = \"old\" }";
    let url = "url = \"http://127.0.0.1:9/in\"";
    let config = load(&format!("{url}\n{secrets}")).into_config().unwrap();
    let Webhooks { endpoint, thresholds, ahead } = config.webhooks;
    let endpoint = endpoint.unwrap();
    let id = crate::webhooks::MessageId::from_stored("msg_1");
    let signatures = endpoint.secrets.sign(&id, jiff::Timestamp::UNIX_EPOCH, b"{}");
    assert_eq!(signatures.matches("v1,").count(), 2, "signed with both");
    assert_eq!((&*endpoint.id.0, &*thresholds), ("", &[50, 80, 100][..]));
    assert_eq!(ahead, Duration::from_secs(7 * 86_400));
    let own = format!("{url}\nsecret = {{ file = \"secret\" }}\nthresholds = [1]\nahead = \"30d\"");
    let Webhooks { thresholds, ahead, .. } = load(&own).into_config().unwrap().webhooks;
    assert_eq!((&*thresholds, ahead), (&[1][..], Duration::from_secs(30 * 86_400)));
    assert!(config_without().endpoint.is_none());
}

fn config_without() -> Webhooks {
    config("").webhooks
}

#[test]
fn wrong_webhooks_are_told() {
    insta::assert_snapshot!("webhooks_without_anything", report("[webhooks]\n"));
    let wrong = "url = \"ftp://h/s3cr3t\"\nsecret = \"s3cr3t\"\nthresholds = [80, 50, 0, 101, \"x\"]\n\
                 ahead = \"31d\"\nsecrets = \"s3cr3t\"";
    insta::assert_snapshot!("webhooks_that_are_wrong", report(&format!("[webhooks]\n{wrong}")));
    for (secret, message) in [
        ("bad", "a webhook secret begins with `whsec_`"),
        ("short", "a webhook secret holds 24 to 64 bytes and this one 4"),
        ("none", "secret file `none` cannot be opened"),
    ] {
        let text = told(&format!("url = \"https://h\"\nsecret = {{ file = \"{secret}\" }}"));
        assert!(text.contains(message), "{text}");
        assert!(!text.contains("hush") && !text.contains("aHVzaA"), "{text}");
    }
    let many = told(
        "url = \"https://h\"\nsecret = { file = \"secret\" }\n\
                     thresholds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]",
    );
    assert!(many.contains("11 thresholds are too many"), "{many}");
}

#[test]
fn plain_http_is_a_warning_off_this_machine() {
    let warned = |url: &str| {
        let loaded = load(&format!("url = \"{url}\"\nsecret = {{ file = \"secret\" }}"));
        assert!(!loaded.report().has(Severity::Error));
        loaded.report().has(Severity::Warning)
    };
    assert!(warned("http://hooks.example/s3cr3t"));
    let text = told("url = \"http://h/s3cr3t\"\nsecret = { file = \"secret\" }");
    assert!(text.contains("over http") && !text.contains("s3cr3t"), "{text}");
    for url in ["https://hooks.example/", "http://127.0.0.1/", "http://[::1]/", "http://localhost/"]
    {
        assert!(!warned(url), "{url}");
    }
}

/// The commented table of the example is one that works.
#[test]
fn example_of_webhooks_can_be_used() {
    let text = std::fs::read_to_string(example("faregate.toml")).unwrap();
    let from = text.lines().skip_while(|line| !line.starts_with("# [webhooks]")).skip(1);
    let table = from.take_while(|line| !line.starts_with("# [cors]"));
    let options =
        table.filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
    let options: Vec<String> = options
        .map(|line| match line.split_once(" = { env = ") {
            Some((name, _)) => format!("{name} = {{ file = \"secret\" }}"),
            None => line.to_owned(),
        })
        .collect();
    assert_eq!(options.len(), 5);
    assert_eq!(told(&options.join("\n")), "");
}

#[test]
fn webhooks_are_described_without_what_may_be_secret() {
    let url = "url = \"https://hooks.example:8443/s3cr3t?k=s3cr3t\"";
    let config = load(&format!("{url}\nsecret = {{ file = \"secret\" }}")).into_config().unwrap();
    let expected = serde_json::json!({
        "url": "https://hooks.example:8443/***", "secret": "***", "previous_secret": null,
        "thresholds": [50, 80, 100], "ahead": "7d",
    });
    assert_eq!(describe(&config)["webhooks"], expected);
}
