//! A disk that is full in the middle of changes.

use faregate::model::KeyDigest;
use serde_json::json;

use super::{
    audit,
    program::{Admin, Scene},
};
use crate::process::{Client, Gateway};

fn secret(number: u64) -> String {
    format!("secret-{number}")
}

/// What was refused is neither in memory nor in the
/// store, what was acknowledged is in both, and once there is room the refused ones can be made.
#[test]
fn change_that_the_disk_has_no_room_for_is_not_made() {
    let scene = Scene::new();
    let directory = scene.directory.path();
    // The log of the database grows to some MB before it is begun anew.
    let gateway = Gateway::start_on_small_disk(600, directory, scene.address, scene.admin);
    let admin = Admin { address: scene.admin, authorization: gateway.authorization() };
    let body = json!({"id": "acme", "subscription": {"plan": "large"}});
    admin.call("POST", "/v1/customers", None, &body).unwrap();
    let make_key = |admin: &Admin, number: u64| {
        let digest = KeyDigest::of(secret(number).as_bytes()).to_string();
        let body = json!({"id": format!("k{number}"), "digest": digest});
        admin.call("POST", "/v1/customers/acme/keys", None, &body).unwrap()
    };
    let (mut made, mut refused) = (Vec::new(), Vec::new());
    for number in 0..1000 {
        match make_key(&admin, number) {
            (201, _) => made.push(number),
            (503, answer) => {
                assert_eq!(answer["code"], "store_unavailable");
                refused.push(number);
            }
            other => panic!("{other:?}"),
        }
        if refused.len() == 5 {
            break;
        }
    }
    println!("{} keys made, {} refused", made.len(), refused.len());
    assert!(!made.is_empty() && refused.len() == 5);
    let check = |admin: &Admin| {
        let mut client = Client::connect(scene.address).unwrap();
        for number in &made {
            let (status, body) = client.ask("/x", &secret(*number)).unwrap();
            assert_eq!(status, 200, "{number}: {body}");
        }
        for number in &refused {
            let (_, body) = client.ask("/x", &secret(*number)).unwrap();
            assert!(body.contains("\"invalid_api_key\""), "{body}");
            assert_eq!(admin.get(&format!("/v1/keys/k{number}")).0, 404);
        }
        audit::check(admin)
    };
    let entries = check(&admin);
    gateway.kill();
    let (_gateway, admin) = scene.start();
    assert_eq!(check(&admin), entries, "memory had what the store has");
    for number in &refused {
        assert_eq!(make_key(&admin, *number).0, 201, "nothing holds its id");
    }
    assert_eq!(audit::check(&admin), entries + refused.len());
}
