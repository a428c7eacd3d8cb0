//! What `faregate check` says of files.

use std::{fs, path::Path};

use faregate::config::{Loaded, Severity};
use rcgen::date_time_ymd;

use super::*;

/// Checks lines about TLS beside files; gives each problem.
fn problems(directory: &Path, lines: &str) -> Vec<(Severity, String)> {
    let digest = format!("\"{}\"", faregate::model::KeyDigest::of(KEY.as_bytes()));
    let text =
        tables(lines).replace("@UPSTREAM@", "127.0.0.1:9").replace("\"key:key-of-acme\"", &digest);
    let loaded = Loaded::parse(&text, &directory.join("faregate.toml"));
    let of = |problem: &faregate::config::Problem| (problem.severity, problem.message.clone());
    loaded.report().problems().iter().map(of).collect()
}

#[test]
fn each_mistake_is_told_under_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    let (one, other) = (ours.leaf(&["api.test"]), ours.leaf(&["api.test"]));
    let mut ended = CertificateParams::new(vec!["api.test".to_owned()]).unwrap();
    (ended.not_before, ended.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let ended = ours.leaf_of(&ended);
    let nameless = ours.leaf(&[]);
    for (name, text) in [
        ("one.crt", one.cert_pem()),
        ("one.key", one.key_pem()),
        ("other.key", other.key_pem()),
        ("ended.pem", ended.pem()),
        ("nameless.pem", nameless.pem()),
        ("empty", String::new()),
        (
            "locked.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
                .to_owned(),
        ),
        ("large", "x".repeat((1 << 20) + 1)),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    use Severity::{Error, MissingSecret, Warning};
    let pair = |cert: &str, key: &str| format!("tls = {{ cert = \"{cert}\", key = \"{key}\" }}");
    let good = |more: &str| format!("tls = {{ cert = \"one.crt\", key = \"one.key\"{more} }}");
    for (lines, severity, expected) in [
        ("tls = { cert = \"one.crt\" }".to_owned(), Error, "there is no `key`"),
        ("tls = { key = \"one.key\" }".to_owned(), Error, "there is no `cert`"),
        ("tls.certificates = []".to_owned(), Error, "there is no certificate"),
        (good(", certificates = []"), Error, "`tls` has either"),
        (pair("none.crt", "one.key"), MissingSecret, "`none.crt`: the certificate cannot be read"),
        (pair("one.crt", "none.key"), MissingSecret, "`none.key`: the key cannot be read"),
        (pair("large", "one.key"), MissingSecret, "it is longer than 1 MiB"),
        (pair("empty", "one.key"), Error, "`empty`: there is no certificate in the file"),
        (pair("one.crt", "one.crt"), Error, "`one.crt`: there is no private key in the file"),
        (pair("one.crt", "locked.key"), Error, "the key is encrypted"),
        (pair("one.crt", "other.key"), Error, "the key is not the certificate's"),
        (pair("-----BEGIN X", "one.key"), Error, "this is not a path"),
        (pair("ended.pem", "ended.pem"), Warning, "the certificate ended on 2021-01-01T00:00:00Z"),
        (pair("nameless.pem", "nameless.pem"), Warning, "the certificate names no host"),
        (good(", client_auth = \"required\""), Error, "nobody is named who vouches"),
        (good(", client_ca = \"none\""), MissingSecret, "the CA certificates cannot be read"),
        (good(", client_ca = \"empty\""), Error, "there is no certificate in the file"),
        (good(", client_auth = \"some\""), Error, "unknown value `some`"),
        (good(", min_version = \"1.1\""), Error, "unknown value `1.1`"),
        (good(", hsts = \"11000d\""), Error, "at most ten years"),
        (good(", hsts = \"1ms\""), Error, "whole seconds"),
        (good("") + "\npublic_url = \"http://api.test\"", Warning, "an address without TLS"),
        (
            good("") + "\npublic_url = \"https://other.test\"",
            Warning,
            "no certificate is for `other.test`",
        ),
    ] {
        let found = problems(directory.path(), &lines);
        let is_it =
            |(of, message): &(Severity, String)| *of == severity && message.contains(expected);
        assert!(found.iter().any(is_it), "{lines}: {found:?}");
    }
    let fine = good("") + "\npublic_url = \"https://api.test\"";
    assert_eq!(problems(directory.path(), &fine), []);
}

/// Two listeners of one configuration cannot share a port.
#[test]
fn redirect_has_a_port_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    fs::write(directory.path().join("tls.pem"), ours.leaf(&["api.test"]).pem()).unwrap();
    // Where `[server]`, a further listener and another one redirect from, and the port that two would take.
    for (first, further, other, port) in [
        ("0.0.0.0:8402", "127.0.0.1:81", "127.0.0.1:82", Some(8402)),
        ("127.0.0.1:8403", "127.0.0.1:81", "127.0.0.1:82", Some(8403)),
        ("127.0.0.1:8405", "127.0.0.1:81", "127.0.0.1:82", Some(8405)),
        ("127.0.0.1:80", "127.0.0.1:8402", "127.0.0.1:82", Some(8402)),
        ("127.0.0.1:80", "127.0.0.1:8403", "127.0.0.1:82", Some(8403)),
        ("127.0.0.1:80", "127.0.0.1:8404", "127.0.0.1:82", Some(8404)),
        ("127.0.0.1:80", "127.0.0.1:8405", "127.0.0.1:82", Some(8405)),
        ("127.0.0.1:80", "0.0.0.0:80", "127.0.0.1:82", Some(80)),
        ("127.0.0.1:80", "127.0.0.1:81", "[::]:81", Some(81)),
        ("127.0.0.1:80", "127.0.0.1:81", "127.0.0.1:82", None),
        // The system chooses another one each time.
        ("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", None),
    ] {
        let tls = |redirect: &str| {
            format!(
                "tls = {{ cert = \"tls.pem\", key = \"tls.pem\", redirect = \"{redirect}\" }}\n"
            )
        };
        let table = "[[server.listeners]]\nlisten";
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:8402\"\n{}\
             {table} = \"127.0.0.1:8404\"\n{}{table} = \"127.0.0.1:8405\"\n{}",
            tls(first),
            tls(further),
            tls(other)
        );
        let loaded = Loaded::parse(&text, &directory.path().join("faregate.toml"));
        let problems = loaded.report().problems().iter();
        let told: Vec<_> = problems
            .filter_map(|problem| problem.message.strip_prefix("both listeners would take port "))
            .collect();
        let expected: Vec<_> = port.iter().map(u16::to_string).collect();
        assert_eq!(told, expected, "{first} {further} {other}");
    }
}
