use super::*;

const X402: &str = r#"
[payments.x402]
facilitator = "https://facilitator.example/x402/"
network = "eip155:8453"
asset = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
asset_name = "USD Coin"
asset_version = "2"
decimals = 6
pay_to = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
"#;

const ROUTES: &str = r#"
[upstreams.api]
url = "http://127.0.0.1:9"
[[routes]]
name = "priced"
path = "/priced"
upstream = "api"
price = "0.002 USD"
[[routes]]
name = "open"
path = "/open"
upstream = "api"
access = "payment"
price = "1 USD"
[[routes]]
name = "euro"
path = "/euro"
upstream = "api"
price = "1 EUR"
[[routes]]
name = "bare"
path = "/bare"
upstream = "api"
"#;

fn whole(tables: &str) -> String {
    format!("[server]\nlisten = \"127.0.0.1:1\"\npublic_url = \"https://a\"\n{tables}")
}

#[test]
fn routes_with_a_price_in_dollars_are_offered() {
    let loaded = Loaded::parse(&whole(&format!("{X402}{ROUTES}")), Path::new(PATH));
    let report = loaded.report().render(Purpose::Check, Colour::Plain);
    assert!(report.contains("a price in EUR is not offered by x402"), "{report}");
    let config = loaded.into_config().unwrap();
    let amount = |name: &str| {
        let route = config.routes.iter().find(|route| *route.name == *name).unwrap();
        let offer = route.offer.as_ref()?;
        let document: serde_json::Value = serde_json::from_str(offer.x402().document()).unwrap();
        Some(document["amount"].as_str().unwrap().to_owned())
    };
    assert_eq!(amount("priced").as_deref(), Some("2000"));
    assert_eq!(amount("open").as_deref(), Some("1000000"));
    assert_eq!((amount("euro"), amount("bare")), (None, None));
    let described = describe(&config);
    insta::assert_json_snapshot!("x402_described", described["payments"]);
    // Without it a price is for credit alone.
    let without =
        Loaded::parse(&whole(&ROUTES.replace("access = \"payment\"", "")), Path::new(PATH));
    assert!(without.into_config().unwrap().routes.iter().all(|route| route.offer.is_none()));
}

/// All are settled as the terms say, but for routes that say otherwise.
#[test]
fn routes_say_when_they_are_settled() {
    let bare = "path = \"/bare\"\n";
    let routes = ROUTES
        .replace("path = \"/open\"\n", "path = \"/open\"\nsettle = \"before\"\n")
        .replace(bare, &format!("{bare}settle = \"before\"\n"));
    let text = whole(&format!("{X402}settle = \"after-headers\"\n{routes}"));
    let loaded = Loaded::parse(&text, Path::new(PATH));
    let report = loaded.report().render(Purpose::Check, Colour::Plain);
    assert_eq!(report.matches("`settle` has no effect").count(), 1, "{report}");
    let config = loaded.into_config().unwrap();
    let route = |name: &str| config.routes.iter().find(|route| *route.name == *name).unwrap();
    let settles = |name| (route(name).settle.name(), route(name).offer.is_some());
    assert_eq!(settles("priced"), ("after-headers", true));
    assert_eq!(settles("open"), ("before", true));
    // Whoever pays has time for what the upstream takes as well.
    let seconds = |name| {
        let document = route(name).offer.as_ref().unwrap().x402().document();
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        document["maxTimeoutSeconds"].clone()
    };
    assert_eq!((seconds("priced"), seconds("open")), (120.into(), 60.into()));
    let described = describe(&config);
    assert_eq!(described["payments"]["x402"]["settle"], "after-headers");
    assert_eq!(described["routes"][1]["settle"], "before");
}

#[test]
fn wrong_payments_are_told() {
    insta::assert_snapshot!("payments_without_anything", report("[payments.x402]\n"));
    let wrong = r#"
[payments]
secret = "s3cr3t"
[payments.x402]
facilitator = "http://facilitator.example/?k=s3cr3t"
network = "base"
asset = "0x12"
asset_name = ""
asset_version = 2
decimals = 37
usd_rate = "1e3"
pay_to = "s3cr3t"
settle = "behind"
v1 = true
"#;
    let told = report(wrong);
    assert!(!told.contains("s3cr3t"), "{told}");
    insta::assert_snapshot!("payments_that_are_wrong", told);
    let other = X402
        .replace("asset_version", "v1 = true\nasset_transfer_method = \"permit2\"\nasset_version");
    let list = r#"["https://a.example/x", "https://a.example/x/", "ftp://b"]"#;
    let other = other.replace("\"https://facilitator.example/x402/\"", list);
    insta::assert_snapshot!("payments_that_do_not_go_together", report(&other));
    let by_scheme = X402.replace("decimals", "asset_transfer_method = \"permit2\"\ndecimals");
    let told = report(&format!("{by_scheme}[payments.mpp]\n"));
    assert!(told.contains("the scheme `Payment` moves tokens by EIP-3009 alone"), "{told}");
    let nameless = X402.replace("asset_version", "v1 = true\nasset_version");
    let nameless =
        nameless.replace("8453", "424242").replace("\"https://facilitator.example/x402/\"", "[]");
    insta::assert_snapshot!("payments_of_version_1", report(&nameless));
    let clear = X402.replace("https://", "http://");
    let loaded = Loaded::parse(&whole(&format!("{clear}{ROUTES}")), Path::new(PATH));
    let told = loaded.report().render(Purpose::Check, Colour::Plain);
    assert!(told.contains("payments go over http"), "{told}");
    let unpaid = ROUTES.replace("price = \"1 USD\"", "");
    let loaded = Loaded::parse(&whole(&format!("{X402}{unpaid}")), Path::new(PATH));
    insta::assert_snapshot!(
        "payment_without_a_price",
        loaded.report().render(Purpose::Run, Colour::Plain)
    );
    let loaded = Loaded::parse(&whole(ROUTES), Path::new(PATH));
    insta::assert_snapshot!(
        "payment_without_a_way",
        loaded.report().render(Purpose::Run, Colour::Plain)
    );
}

/// Checks a configuration with a secret in a file.
fn with_secret(secret: &str, mpp: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), secret).unwrap();
    let tables = format!("[payments]\nsecret = {{ file = \"secret\" }}\n{mpp}\n{X402}{ROUTES}");
    Loaded::parse(&whole(&tables), &directory.path().join("faregate.toml"))
}

#[test]
fn scheme_payment_is_asked_by_beside_x402() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let config = |mpp: &str| with_secret(SECRET, mpp).into_config().unwrap();
    let plain = config("[payments.mpp]");
    let terms = plain.mpp.as_ref().unwrap();
    assert_eq!((terms.realm.as_deref(), terms.is_beside_keys), (Some("a"), true));
    for route in &plain.routes {
        let has_mpp = route.offer.as_ref().is_some_and(|offer| offer.mpp().is_some());
        assert_eq!(has_mpp, route.offer.is_some(), "{}", route.name);
    }
    insta::assert_json_snapshot!("mpp_described", describe(&plain)["payments"]["mpp"]);
    assert!(!describe(&plain).to_string().contains(SECRET));
    let named = config("[payments.mpp]\nrealm = \"API of Example\"\nmethods = [\"evm\"]");
    assert_eq!(named.mpp.unwrap().realm.as_deref(), Some("API of Example"));
    for (locations, expected) in [("\"x-api-key\"", false), ("\"query:k\", \"basic\"", true)] {
        let mpp = format!("[payments.mpp]\n[auth]\nlocations = [{locations}]");
        assert_eq!(config(&mpp).mpp.unwrap().is_beside_keys, expected, "{locations}");
    }
    // Without the table the secret binds nothing.
    assert!(config("").mpp.is_none());
    let short = with_secret("s3cr3t", "[payments.mpp]");
    let told = short.report().render(Purpose::Check, Colour::Plain);
    assert!(told.contains("the secret is shorter than 32 bytes"), "{told}");
    assert!(!told.contains("s3cr3t"), "{told}");
    assert!(short.into_config().is_ok());
}

#[test]
fn wrong_terms_of_the_scheme_payment_are_told() {
    insta::assert_snapshot!("mpp_without_anything", report("[payments.mpp]\n"));
    let wrong = r#"
[auth]
locations = ["header:Payment-Authorization"]
[payments]
secret = { env = "FAREGATE_TEST_OF_A_SECRET_THAT_IS_NOT_SET" }
[payments.mpp]
realm = "a|b"
methods = ["evm", "lightning", "tempo"]
"#;
    insta::assert_snapshot!("mpp_that_is_wrong", report(&format!("{wrong}{X402}")));
    let empty = with_secret("0123456789abcdef0123456789abcdef", "[payments.mpp]\nmethods = []");
    let told = empty.report().render(Purpose::Check, Colour::Plain);
    assert!(told.contains("there is no method to pay by"), "{told}");
}
