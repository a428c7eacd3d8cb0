//! What an operator gets wrong, and how it is told.

use serde_json::json;

use super::Shop;

#[test]
fn what_is_not_there_or_there_already_is_told_once() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme"]);
    for arguments in [
        &["customer", "show", "nobody"][..],
        &["customer", "suspend", "nobody"],
        &["customer", "delete", "nobody", "--yes"],
        &["key", "create", "nobody"],
        &["key", "list", "nobody"],
        &["subscription", "set", "nobody", "--plan", "pro"],
        &["subscription", "show", "nobody"],
        &["usage", "nobody"],
        &["adjust", "nobody", "--quota", "yearly", "+1", "--reason", "x"],
    ] {
        shop.refused(arguments, "faregate: There is no customer `nobody`");
    }
    for verb in ["show", "rotate", "revoke", "disable"] {
        shop.refused(&["key", verb, "nokey"], "faregate: There is no key `nokey`");
    }
    for arguments in [&["subscription", "show", "acme"], &["subscription", "cancel", "acme"]] {
        shop.refused(arguments, "faregate: The customer `acme` has no subscription");
    }
    let said = "faregate: There is a customer `acme` already";
    shop.refused(&["customer", "create", "acme"], said);
    shop.done(&["key", "create", "acme", "--id", "k1"]);
    let said = "faregate: acme: There is a key `k1` already";
    shop.refused(&["key", "create", "acme", "--id", "k1"], said);
}

#[test]
fn what_the_file_declares_is_changed_there() {
    let shop = Shop::open();
    let said = "is declared in the configuration file; change it there and reload";
    for arguments in [
        &["customer", "create", "filed"][..],
        &["customer", "set", "filed", "--name", "x"],
        &["customer", "suspend", "filed"],
        &["customer", "delete", "filed", "--yes"],
        &["subscription", "set", "filed", "--plan", "pro"],
        &["subscription", "cancel", "filed"],
        &["key", "create", "filed"],
    ] {
        shop.refused(arguments, &format!("faregate: The customer `filed` {said}"));
    }
    for verb in ["revoke", "rotate", "disable"] {
        let said = format!("faregate: The key `filed-key` {said}");
        shop.refused(&["key", verb, "filed-key"], &said);
    }
    // It is seen all the same, and what it used may be corrected.
    shop.tells(&["customer", "show", "filed"], &["the file"]);
    shop.tells(&["key", "list", "filed"], &["filed-key", "the file"]);
    shop.done(&["adjust", "filed", "--quota", "yearly", "-2", "--reason", "paper forms"]);
    assert_eq!(shop.used("filed"), 2);
}

#[test]
fn every_wrong_field_is_listed() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "starter"]);
    let before = shop.ask("/v1/customers/acme");
    shop.refused(
        &["customer", "create", "new", "--plan", "nosuch"],
        "faregate: new: subscription.plan: there is no such plan; there are: starter, pro",
    );
    assert_eq!(shop.ask("/v1/customers/new").0, 404);
    shop.refused(
        &["customer", "set", "acme", "--quota", "limit=1,window=day,zone=Mars/Olympus",
            "--quota", "limit=5,window=day"],
        "faregate: acme: 2 fields are not valid; see `errors`\n  \
         quotas[0].zone: no such time zone; write its name such as \"Europe/Berlin\"\n  \
         quotas[1].name: two quotas have this name; without a `name` a quota is called by its window",
    );
    shop.refused(
        &["subscription", "set", "acme", "--status", "past_due"],
        "faregate: acme: past_due_since: `past_due` needs `past_due_since`, the date of the first \
         failed payment",
    );
    shop.refused(
        &["adjust", "acme", "--quota", "nosuch", "+1", "--reason", "x"],
        "faregate: acme: quota: there is no such quota; there is: yearly",
    );
    let output = shop.run(&["customer", "set", "acme", "--quota", "limit=1,window=fortnight"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("quotas[0].window") && said.contains("`month`"), "{said}");
    assert_eq!(shop.ask("/v1/customers/acme"), before, "nothing was changed");
}

#[test]
fn correction_is_made_once_under_its_key() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "pro"]);
    let adjust =
        ["adjust", "acme", "--quota", "yearly", "--reason", "x", "--idempotency-key", "a1"];
    let first = shop.json(&[&adjust[..], &["-4"]].concat());
    assert_eq!(shop.json(&[&adjust[..], &["-4"]].concat()), first);
    assert_eq!((shop.used("acme"), &first["used"]), (4, &json!(4)));
    let said =
        "faregate: acme: This Idempotency-Key came with another request before; use a new one";
    shop.refused(&[&adjust[..], &["-5"]].concat(), said);
    assert_eq!(shop.used("acme"), 4);
}

#[test]
fn wrong_usage_is_told_before_anybody_is_asked() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme"]);
    for arguments in [
        &["customer", "delete", "acme"][..],
        &["customer", "set", "acme"],
        &["subscription", "set", "acme"],
        &["key", "rotate", "k1", "--grace", "5"],
        &["adjust", "acme", "--quota", "yearly", "5", "--reason", "no sign"],
    ] {
        assert_eq!(shop.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let audit = shop.json(&["audit", "--all"]);
    assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit}");
}

#[test]
fn stopped_gateway_is_named() {
    let mut shop = Shop::open();
    shop.close();
    let said = format!("faregate: no gateway answers at {}; is it running?", shop.admin);
    for arguments in
        [&["customer", "show", "acme"][..], &["customer", "create", "acme"], &["audit"]]
    {
        let output = shop.run(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(told.starts_with(&said) && told.lines().count() == 1, "{told}");
    }
}
