use super::*;

/// What was written where no secret belongs is in no report, however wrong the rest is.
#[test]
fn literal_secrets_are_never_shown() {
    for template in [
        "[admin]\ntoken = \"SECRET\"\nlisten = 5",
        "[admin]\ntoken = [\"SECRET\"]",
        "[admin]\ntoken = { env = \"SECRET\" }",
        "[admin]\ntoken = { enw = \"SECRET\", x = 5 }",
        "[admin]\ntokne = \"SECRET\"",
        "[admin]\nread_token = \"SECRET\"",
        "[admin]\nwhatever = \"SECRET\"",
        "[admin]\ntoken = \"SECRET",
        "[admin]\ntoken = SECRET",
        "[admin]\ntoken = \"a\"\ntoken = \"SECRET\"",
        "[admin]\ntoken = '''SECRET\nSECRET'''",
        "admin = \"SECRET\" admin.token = \"SECRET\"",
        "[payments]\nsecret = \"SECRET\"\n[payments.x402]\npay_to = \"SECRET\"",
        "[store]\nurl = \"postgres://user:SECRET@db/x\"\njournal = \"\"",
        "[store]\nurl = \"postgres://user:SECRET@db/x?sslmode=prefer\"",
        "[store]\nurl = \"postgres://user:SECRET@db\"",
        "[store]\nurl = \"postgres://user@db/x\"\npassword = \"SECRET\"",
        "[store]\nurl = \"mysql://user:SECRET@db/x\"",
        "[upstreams.b]\nurl = \"http://user:SECRET@host\"",
        "[upstreams.b]\nurl = \"http://user:SECRET/SECRET@host\"",
        "[upstreams.b]\nurl = \"http://user:SECRET@host\"\nurls = [\"http://user:SECRET@host\"]",
        "[upstreams.b]\nurls = [\"http://user:SECRET@host\", \"http://user:SECRET@host\"]",
        "[upstreams.b]\nurls = [\"http://a/b\", \"http://a/b\", \"http://user:SECRET@host\"]",
        "[upstreams.b]\nurls = [\"http://user:SECRET@host\", \"http://a/b\", \"http://a/c\"]",
        "[upstreams.b]\nurl = \"https://user:SECRET@host\"",
        "[webhooks]\nurl = \"https://h/SECRET\"\nsecret = \"SECRET\"\nurls = [\"SECRET\"]",
        "[webhooks]\nurl = \"https://user:SECRET@h/SECRET\"\nprevious_secret = \"SECRET\"",
        "[webhooks]\nurl = [\"https://h/SECRET\"]",
        "[plans.b]\nupgrade_url = \"http://user:SECRET@host\"",
        "[upstreams.b]\nset_headers = { authorization = \"SECRET\", 5 = 5 }",
        "[upstreams.b]\nset_headers = { x-gate = \"SECRET\", 5 = 5 }",
        "[upstreams.b]\nset_headers = { x-gate = SECRET }",
        "[upstreams.b]\nset_headers = \"SECRET\"",
        "[upstreams.b]\nset_header = { x-gate = \"SECRET\" }",
        "[upstreams.b.set_headers]\nx-gate = SECRET",
        "[customers.a]\nkeys = [\"SECRET\"]",
        "[customers.a]\nkeys = \"SECRET\"",
        "[customers.a]\nkeys = { ci = \"SECRET\" }",
        "[customers.a]\nkeys = [[\"SECRET\"], { digest = \"SECRET\", x = 1 }, { key = \"SECRET\" }]",
        "[customers.a]\nkeys = [{ digest = [\"SECRET\"] }]",
        "[customers.a]\nkey = \"SECRET\"",
        "[customers.a]\nkeys = [\n  \"SECRET\"\n  \"SECRET\n]",
        "[customers.a]\nkeys = [\n  SECRET,\n  \"SECRET==,\n]",
        "[customers.a]\nkeys = [\"SECRET\"\nplan = \"x\"",
        "[[customers.a.keys]]\ndigest = \"SECRET",
        "[customers]\na = \"SECRET\"",
        "[customer.a]\nkeys = [\"SECRET\"]\nplan = 5",
    ] {
        let report = report(&template.replace("SECRET", "s3cr3t-ünd-geheim"));
        assert!(report.contains("error"), "{template}\n{report}");
        assert!(!report.contains("s3cr3t"), "{template}\n{report}");
    }
}

/// The gateway's own keys are known by their looks, wherever they stand.
#[test]
fn own_keys_are_never_shown() {
    for template in [
        "[customers.a]\nplan = \"KEY\"",
        "[customers.KEY]\nplan = 5",
        "[customers.a]\nkeys = [{ id = \"KEY\" }]",
        "# KEY\n[server] # KEY",
        "[[routes]] # KEY\nname = \"KEY\"\nKEY = 5",
        "[[routes]] # KEY\nname = \"KEY",
    ] {
        let report = report(&template.replace("KEY", "fg_live_s3cr3ts3cr3ts3cr3t"));
        assert!(report.contains("error"), "{template}\n{report}");
        assert!(!report.contains("s3cr3t"), "{template}\n{report}");
    }
}

#[test]
fn secrets_are_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "s3cr3t\r\n\n").unwrap();
    let path = directory.path().join("faregate.toml");
    let token = |source: &str| {
        let text = complete(&format!("[admin]\ntoken = {source}"));
        Loaded::parse(&text, &path).into_config().unwrap().admin.token.unwrap()
    };
    assert_eq!(token("{ file = \"token\" }").expose(), "s3cr3t");
    // cargo sets this variable for every test.
    assert_eq!(token("{ env = \"CARGO_PKG_NAME\" }").expose(), "faregate");
}

#[test]
fn unusable_secrets_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("faregate.toml");
    for (content, told) in [
        (&b"\n"[..], "secret file `token` is empty"),
        (b"\xff", "secret file `token` cannot be read: stream did not contain valid UTF-8"),
        (&[b'a'; 65_537], "secret file `token` is longer than 65536 bytes"),
        (b"a b", "the token has a space, a line break or a letter beyond ASCII"),
    ] {
        std::fs::write(directory.path().join("token"), content).unwrap();
        let loaded = Loaded::parse(&complete("[admin]\ntoken = { file = \"token\" }"), &path);
        let [problem] = loaded.report().problems() else { panic!("{}", show(loaded.report())) };
        assert_eq!(problem.message, told);
        assert!(loaded.into_config().is_err());
    }
}
