//! `check --online`: whether who settles payments agrees with the file.

use std::process::Command;

use super::*;
use crate::process::FAREGATE;

/// Checks a file with these replaced; gives the exit code and what is said.
fn check(facilitators: &[String], replaced: &[(&str, &str)]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let list = format!("{facilitators:?}");
    let tables = TABLES.replace("\"@FACILITATOR@\"", &list).replace("@UPSTREAM@", "127.0.0.1:9");
    let tables = ["acme", "stopped"].iter().fold(tables, |tables, name| {
        let digest = faregate::model::KeyDigest::of(name.as_bytes()).to_string();
        tables.replace(&format!("key:{name}"), &digest)
    });
    let text = replaced.iter().fold(tables, |text, (from, to)| text.replace(from, to));
    std::fs::write(directory.path().join("faregate.toml"), text).unwrap();
    let mut command = Command::new(FAREGATE);
    command.args(["check", "--online"]).current_dir(directory.path());
    let output = command.env_remove("FAREGATE_CONFIG").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[test]
fn file_that_the_facilitator_agrees_with_is_good() {
    let facilitator = Facilitator::start();
    for reason in ["insufficient_funds", "invalid_exact_evm_transaction_simulation_failed"] {
        facilitator.set(Mood::RefusesToVerify(reason));
        let (code, said) = check(&[facilitator.url()], &[]);
        assert_eq!((code, said.contains("no problems")), (Some(0), true), "{said}");
    }
    // It was asked with a payment of the least there is, that was made as the file says.
    let order = facilitator.last_order();
    assert_eq!(order["paymentRequirements"]["amount"], "1");
    assert_eq!(order["paymentRequirements"]["extra"], json!({"name": "USD Coin", "version": "2"}));
    assert_eq!((facilitator.asked("settle"), facilitator.transfers()), (0, 0));
}

#[test]
fn what_does_not_agree_is_told_under_its_line() {
    let facilitator = Facilitator::start();
    for (mood, replaced, words) in [
        (Mood::Elsewhere, vec![], ["| network = \"eip155:84532\"", "it settles on: `eip155:8453`"]),
        (
            Mood::RefusesToVerify("asset_not_deployed_contract"),
            vec![],
            ["asset = \"0x5FbDB", "no contract at this address on eip155:84532"],
        ),
        (
            Mood::RefusesToVerify("invalid_exact_evm_token_name_mismatch"),
            vec![],
            ["asset_name = \"USD Coin\"", "the token has another name"],
        ),
        (
            Mood::RefusesToVerify("invalid_exact_evm_token_version_mismatch"),
            vec![],
            ["asset_version = \"2\"", "the token has another version"],
        ),
        (
            Mood::RefusesToVerify("invalid_exact_evm_eip3009_not_supported"),
            vec![],
            ["takes no signed orders", "write asset_transfer_method = \"permit2\""],
        ),
        (
            Mood::Good,
            vec![(
                "0x5FbDB2315678afecb367f032d93F642f64180aa3",
                "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            )],
            ["USDC says `USDC` there", "write asset_name = \"USDC\""],
        ),
        (
            Mood::Good,
            vec![(
                "0x5FbDB2315678afecb367f032d93F642f64180aa3",
                "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            )],
            [
                "the address of USDC on `eip155:8453`",
                "write asset = \"0x036cbd53842c5426634e7929541ec2318f3dcf7e\"",
            ],
        ),
        (
            Mood::Good,
            vec![("decimals = 6", "decimals = 6\nv1 = true")],
            ["v1 = true", "does not settle `base-sepolia` in version 1"],
        ),
    ] {
        facilitator.set(mood);
        let (code, said) = check(&[facilitator.url()], &replaced);
        assert_eq!(code, Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
    assert_eq!((facilitator.asked("settle"), facilitator.transfers()), (0, 0));
}

#[test]
fn facilitators_that_cannot_be_asked_are_told() {
    let nowhere = format!("http://{}/x402", Upstream::nowhere());
    let (code, said) = check(&[nowhere], &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the facilitator cannot be asked: no connection"), "{said}");
    for (answer, words) in [
        ("401 Who", "the facilitator asks for a key"),
        ("404 Nothing", "does not say what it settles, but 404"),
        ("200 Other", "does not say what it settles, but 200"),
    ] {
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\n[]");
        let other = Upstream::answering(answer, Then::KeepAlive);
        let (code, said) = check(&[format!("http://{}", other.address())], &[]);
        assert_eq!((code, said.contains(words)), (Some(1), true), "{said}");
    }
    // One of several that settles elsewhere is passed over, and none is one too few.
    let (good, elsewhere) = (Facilitator::start(), Facilitator::start());
    elsewhere.set(Mood::Elsewhere);
    let (code, said) = check(&[elsewhere.url(), good.url()], &[]);
    assert_eq!((code, said.contains("1 warning")), (Some(0), true), "{said}");
    good.set(Mood::Elsewhere);
    let (code, said) = check(&[elsewhere.url(), good.url()], &[]);
    assert_eq!((code, said.contains("nobody settles payments on")), (Some(1), true), "{said}");
}
