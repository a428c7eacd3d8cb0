//! What `faregate check` says of `tls` of an upstream.

use std::{fs, path::Path};

use faregate::config::{Loaded, Severity};
use rcgen::{CertificateParams, date_time_ymd};

use super::*;

/// Checks an upstream's lines beside files; gives each problem.
fn problems(directory: &Path, lines: &str) -> Vec<(Severity, String)> {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.api]\n{lines}\n\
         [[routes]]\npath = \"/{{*path}}\"\nupstream = \"api\"\n"
    );
    let loaded = Loaded::parse(&text, &directory.join("faregate.toml"));
    let of = |problem: &faregate::config::Problem| (problem.severity, problem.message.clone());
    loaded.report().problems().iter().map(of).collect()
}

#[test]
fn each_mistake_is_told() {
    use Severity::{Error, MissingSecret, Warning};
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    let (one, other) = (ours.leaf(&["us.test"]), ours.leaf(&["us.test"]));
    let mut ended = CertificateParams::new(vec!["us.test".to_owned()]).unwrap();
    (ended.not_before, ended.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    for (name, text) in [
        ("ca.pem", ours.pem()),
        ("one.crt", one.cert_pem()),
        ("one.key", one.key_pem()),
        ("other.key", other.key_pem()),
        ("ended.pem", ours.leaf_of(&ended).pem()),
        ("empty", String::new()),
        ("odd", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let https = |tls: &str| format!("url = \"https://api.test\"\ntls = {{ {tls} }}");
    let pair = |cert: &str, key: &str| {
        https(&format!("ca = \"ca.pem\", cert = \"{cert}\", key = \"{key}\""))
    };
    let ca = "tls = { ca = \"ca.pem\" }";
    for (lines, severity, expected) in [
        (https("ca = \"none\""), MissingSecret, "the CA certificates cannot be read"),
        (https("ca = \"empty\""), Error, "there is no certificate in the file"),
        (https("ca = \"odd\""), Error, "a certificate in the file is no CA's"),
        (https("ca = \"-----BEGIN CERTIFICATE-----\""), Error, "this is not a path"),
        (https("cert = \"one.crt\""), Error, "there is no `key`"),
        (https("key = \"one.key\""), Error, "there is no `cert`"),
        (pair("none", "one.key"), MissingSecret, "the certificate cannot be read"),
        (pair("one.crt", "none"), MissingSecret, "the key cannot be read"),
        (pair("one.crt", "other.key"), Error, "the key is not the certificate's"),
        (pair("empty", "one.key"), Error, "there is no certificate in the file"),
        (pair("one.crt", "empty"), Error, "there is no private key in the file"),
        (pair("ended.pem", "ended.pem"), Warning, "the certificate ended on 2021-01-01T00:00:00Z"),
        (
            https("server_name = \"https://api.test\""),
            Error,
            "is not a name that a certificate can have",
        ),
        (https("server_name = \"*.api.test\""), Error, "`*.api.test` is not a name"),
        (https("server_name = \"API.test\""), Error, "`API.test` is not a name"),
        (https("min_version = \"1.1\""), Error, "unknown value `1.1`"),
        (https("verify = false"), Error, "unknown key `verify`"),
        (format!("url = \"http://api.test\"\n{ca}"), Error, "`tls` stands beside a URL in clear"),
        (
            format!("url = \"unix:/run/api.sock\"\n{ca}"),
            Error,
            "a socket on this machine is spoken to in clear",
        ),
        (
            format!("urls = [\"https://a.test\", \"http://b.test\"]\n{ca}"),
            Error,
            "the URLs of an upstream are all https, or none is",
        ),
        (
            format!("urls = [\"unix:/run/api.sock\", \"https://b.test\"]\n{ca}"),
            Error,
            "the URLs of an upstream are all https, or none is",
        ),
    ] {
        let found = problems(directory.path(), &lines);
        let [(of, message)] = &found[..] else { panic!("{lines}: {found:?}") };
        assert!(*of == severity && message.contains(expected), "{lines}: {found:?}");
    }
    for fine in [
        pair("one.crt", "one.key"),
        https("ca = \"ca.pem\", server_name = \"10.0.0.5\", min_version = \"1.3\""),
        format!("url = \"https://[::1]:8443/base\"\n{ca}"),
        format!("urls = [\"https://a.test\", \"https://b.test:8443\"]\n{ca}"),
    ] {
        assert_eq!(problems(directory.path(), &fine), [], "{fine}");
    }
}

#[test]
fn table_is_shown_with_its_files_and_without_what_is_in_them() {
    let (directory, ours) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let us = ours.leaf(&["us.test"]);
    for (name, text) in [("ca.pem", ours.pem()), ("us.pem", us.pem())] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.api]\nurl = \"https://api.test:8443/v1\"\n\
                tls = { ca = \"ca.pem\", server_name = \"x.test\", cert = \"us.pem\", key = \"us.pem\" }\n\
                [[routes]]\npath = \"/{*path}\"\nupstream = \"api\"\n";
    let loaded = Loaded::parse(text, &directory.path().join("faregate.toml"));
    let described = faregate::config::describe(&loaded.into_config().unwrap());
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let upstream = &described["upstreams"]["api"];
    assert_eq!(upstream["url"], "https://api.test:8443/v1");
    assert_eq!(
        upstream["tls"],
        serde_json::json!({
            "ca": path("ca.pem"),
            "cert": path("us.pem"),
            "key": path("us.pem"),
            "server_name": "x.test",
            "min_version": "1.2",
        })
    );
    assert!(!described.to_string().contains("BEGIN"));
}
