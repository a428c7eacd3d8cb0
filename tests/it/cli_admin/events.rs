//! Events that were given up, seen and sent again; the webhook of a customer.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::mpsc::{self, Receiver},
};

use serde_json::{Value, json};

use super::Shop;
use crate::{process::DEADLINE, support::wait_for};

/// Answers one request with each status and gives the bodies that came.
fn receiver(statuses: &'static [u16]) -> (SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (bodies, received) = mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut reader, mut length) = (BufReader::new(stream.try_clone().unwrap()), 0);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").unwrap();
            let _ = bodies.send(serde_json::from_slice(&body).unwrap());
        }
    });
    (address, received)
}

#[test]
fn event_that_was_given_up_is_sent_again() {
    let (address, received) = receiver(&[410, 204]);
    let shop = Shop::open_with(&format!(
        "\n[webhooks]\nurl = \"http://{address}/hook\"\nsecret = {{ file = \"secret\" }}\nthresholds = [100]\n"
    ));
    shop.done(&["customer", "create", "acme", "--plan", "starter"]);
    let (_, key) = shop.key(&["create", "acme"]);
    shop.calls(&key, 3);
    let told = received.recv_timeout(DEADLINE).unwrap();
    assert_eq!(told["type"], "quota.threshold_reached");
    assert_eq!((&told["data"]["customer"], &told["data"]["used"]), (&json!("acme"), &json!(3)));

    let of = |state: &str| shop.json(&["events", "--state", state])["items"].clone();
    let event = wait_for("the end of the attempt", || of("failed").get(0).cloned());
    let id = event["id"].as_str().unwrap();
    assert_eq!((&event["last_status"], &event["attempts"]), (&json!(410), &json!(1)));
    shop.tells(&["events"], &[id, "quota.threshold_reached", "acme", "failed", "410"]);

    shop.tells(&["events", "retry", id], &["is sent again"]);
    assert_eq!(received.recv_timeout(DEADLINE).unwrap(), told);
    let delivered = wait_for("its delivery", || of("delivered").get(0).cloned());
    assert_eq!((&delivered["id"], &delivered["last_status"]), (&event["id"], &json!(204)));
    assert_eq!(of("failed"), json!([]));
    let output = shop.run(&["events", "retry", id]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("delivered"), "{said}");
    shop.refused(&["events", "retry", "msg_1"], "faregate: There is no event `msg_1`");
    shop.tells(&["audit"], &["event.retry"]);
}

#[test]
fn customers_webhook_is_set_shown_once_and_removed() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme"]);
    let url = "https://acme.example/hooks";
    shop.tells(&["customer", "webhook", "acme", "--url", url], &[url, "whsec_", "only now"]);
    shop.tells(&["customer", "show", "acme"], &[url]);
    let again = shop.done(&["customer", "webhook", "acme", "--url", url]);
    assert!(again.contains(url) && !again.contains("whsec_"), "{again}");
    let audit = shop.json(&["audit", "--all"]).to_string();
    assert!(audit.contains(url) && !audit.contains("whsec_"), "{audit}");
    shop.refused(
        &["customer", "webhook", "acme", "--url", "http://127.0.0.1:9/x"],
        "faregate: acme: webhook.url: the URL leads to an address that is not on the public \
         internet; use a host that anyone can reach",
    );
    shop.tells(&["customer", "webhook", "acme", "--none"], &["no events are sent any more"]);
    assert_eq!(shop.ask("/v1/customers/acme").1["webhook"], json!(null));
}
