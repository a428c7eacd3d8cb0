//! Killed by signal 9 in the middle of messages: the books hold every message that went up, once.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use faregate::model::KeyDigest;
use serde_json::Value;

use super::{SWITCH, ask, tables_by, text};
use crate::{
    process::{Gateway, free_address},
    support::{Client, KEY, Then, Upstream},
};

const CLIENTS: u64 = 8;

/// Starts an upstream that counts the messages whose heads have come; all are of one length.
fn counting(length: usize) -> (Upstream, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&count);
    let upstream = Upstream::start(move |exchange| {
        exchange.send(SWITCH)?;
        let mut bytes = 0_usize;
        loop {
            let more = exchange.read_some()?;
            if more.is_empty() {
                return Ok(Then::Close);
            }
            let before = bytes.div_ceil(length);
            bytes += more.len();
            let after = bytes.div_ceil(length);
            shared.fetch_add(u64::try_from(after - before).unwrap(), Ordering::SeqCst);
        }
    });
    (upstream, count)
}

#[test]
fn books_hold_every_message_after_a_kill() {
    let message = text(50);
    let (upstream, received) = counting(message.len());
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (free_address(), free_address());
    let tables = tables_by("message", [""; 3])
        .replace("limit = 10", "limit = 100000000")
        .replace("@UPSTREAM@", &upstream.address().to_string())
        .replace("key:key-of-acme", &KeyDigest::of(KEY.as_bytes()).to_string());
    let listeners =
        format!("[server]\nlisten = \"{address}\"\nworkers = 2\n[admin]\nlisten = \"{admin}\"\n");
    fs::write(directory.path().join("faregate.toml"), listeners + &tables).unwrap();
    for kill in 1..=3 {
        let gateway = Gateway::start(directory.path(), address, admin);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let message = message.clone();
                std::thread::spawn(move || {
                    let mut client = Client::connect(address);
                    ask(&mut client, KEY, &[]);
                    assert_eq!(client.head().status, 101);
                    while client.try_send(&message).is_ok() {}
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        gateway.kill();
        clients.into_iter().for_each(|client| client.join().unwrap());
        upstream.wait_closed(usize::try_from(kill * CLIENTS).unwrap());

        let gateway = Gateway::start(directory.path(), address, admin);
        let verified = gateway.post("/v1/verify", &Value::Null);
        assert_eq!(verified["ok"], true, "{verified}");
        let quota = &gateway.usage("acme")["quotas"][0];
        assert_eq!(quota["reserved"], 0, "{quota}");
        let (booked, received) =
            (quota["used"].as_u64().unwrap() / 2, received.load(Ordering::SeqCst));
        assert!(received > 0 && booked >= received, "{booked} booked, {received} received");
        // Above that are messages that were on record and had not gone up when it was killed.
        assert!(booked <= received + kill * CLIENTS, "{booked} booked, {received} received");
        assert!(gateway.stop());
    }
}
