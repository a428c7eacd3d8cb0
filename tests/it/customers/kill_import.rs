//! Killed by signal 9 in the middle of an import: each line is whole or not at all, one whose result
//! was told is there, and to repeat the import completes it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::Value;

use super::{
    audit,
    program::{Admin, Scene},
};
use crate::{
    process::{Client, DEADLINE},
    support::wait_for,
};

/// Lines of the import, each a customer with its subscription and its key; at most a page of a list.
const LINES: usize = 900;

/// Kills before the import is let through.
const KILLS: u32 = 4;

fn secret(line: usize) -> String {
    format!("secret-of-{line}")
}

fn table() -> String {
    let mut table = "customer,name,plan,key,key_id,application,scopes\n".to_owned();
    for line in 0..LINES {
        table
            .push_str(&format!("c{line},Name {line},large,{},k{line},mobile,read\n", secret(line)));
    }
    table
}

/// Imports the table, and gives the results that came until the connection ended. Tells on the way
/// that the first have come.
fn import(admin: &Admin, begun: &AtomicBool) -> Vec<Value> {
    let mut stream = TcpStream::connect(admin.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let (table, authorization) = (table(), &admin.authorization);
    let head = format!(
        "POST /v1/import HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
         authorization: {authorization}\r\ncontent-type: text/csv\r\ncontent-length: {}\r\n\r\n",
        table.len()
    );
    let mut answer = Vec::new();
    // The other side may be killed at any moment.
    if stream.write_all((head + &table).as_bytes()).is_ok() {
        let mut part = [0; 8192];
        while let Ok(count @ 1..) = stream.read(&mut part) {
            answer.extend(&part[..count]);
            if answer.windows(8).any(|part| part == b"\"result\"") {
                begun.store(true, Ordering::SeqCst);
            }
        }
    }
    begun.store(true, Ordering::SeqCst);
    let answer = String::from_utf8_lossy(&answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return Vec::new() };
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let body = unchunked(body);
    // What stands behind the last line break is not whole.
    let whole = body.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Takes off the framing of as many chunks as came.
fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        body.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    body
}

/// Gives what is stored of the lines, without the dates; each must be whole or not there at all.
fn stored(admin: &Admin, scene: &Scene) -> Vec<Value> {
    let (_, mut list) = admin.get("/v1/customers?limit=1000&prefix=c");
    let mut client = Client::connect(scene.address).unwrap();
    let mut all = Vec::new();
    for mut customer in list["items"].as_array_mut().unwrap().drain(..) {
        let id = customer["id"].as_str().unwrap();
        let line: usize = id[1..].parse().unwrap();
        let (_, mut keys) = admin.get(&format!("/v1/customers/{id}/keys"));
        let keys = keys["items"].as_array_mut().unwrap();
        assert_eq!(customer["name"], format!("Name {line}"));
        assert_eq!(customer["subscription"]["plan"], "large", "{customer}");
        assert_eq!(customer["applications"], serde_json::json!(["mobile"]), "{customer}");
        assert_eq!(keys.len(), 1, "{customer}");
        assert_eq!(keys[0]["id"], format!("k{line}"));
        assert_eq!(client.ask("/x", &secret(line)).unwrap().0, 200, "{customer}");
        for document in [&mut customer, &mut keys[0]] {
            for date in ["created_at", "updated_at", "last_used"] {
                document.as_object_mut().unwrap().remove(date);
            }
        }
        all.push(customer);
        all.append(keys);
    }
    all
}

#[test]
fn import_is_completed_after_kills() {
    let undisturbed = {
        let scene = Scene::new();
        let (_gateway, admin) = scene.start();
        assert_eq!(import(&admin, &AtomicBool::new(false)).len(), LINES + 1);
        stored(&admin, &scene)
    };
    assert_eq!(undisturbed.len(), 2 * LINES);
    let scene = Scene::new();
    for kill in 1..=KILLS {
        let (gateway, admin) = scene.start();
        let begun = AtomicBool::new(false);
        let (done, pause) = std::thread::scope(|scope| {
            let import = scope.spawn(|| import(&admin, &begun));
            let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
            wait_for("results of the import", || begun.load(Ordering::SeqCst).then_some(()));
            let pause = Duration::from_millis(u64::from(nanoseconds % 30));
            std::thread::sleep(pause);
            gateway.kill();
            (import.join().unwrap(), pause)
        });
        let (_gateway, admin) = scene.start();
        let found = stored(&admin, &scene);
        println!("kill {kill} after {pause:?}: {} told, {} there", done.len(), found.len() / 2);
        assert!(!found.is_empty(), "the first results were told before the kill");
        for result in done.iter().filter(|result| result.get("done").is_none()) {
            assert!(["created", "unchanged"].contains(&result["result"].as_str().unwrap()));
            let is_there = |document: &Value| document["id"] == result["customer"];
            assert!(found.iter().any(is_there), "{result}");
        }
        audit::check(&admin);
    }
    let (_gateway, admin) = scene.start();
    let before = stored(&admin, &scene).len() / 2;
    let results = import(&admin, &AtomicBool::new(false));
    let summary = results.last().unwrap();
    assert_eq!(summary["unchanged"], before, "{summary}");
    assert_eq!(summary["created"], LINES - before, "{summary}");
    assert_eq!(stored(&admin, &scene), undisturbed);
    let again = import(&admin, &AtomicBool::new(false));
    assert_eq!(again.last().unwrap()["unchanged"], LINES, "to repeat it changes nothing");
    audit::check(&admin);
}
