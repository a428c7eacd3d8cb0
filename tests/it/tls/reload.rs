//! Certificates that change while requests come.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::*;
use crate::support::wait_for;

/// Gives the certificate that is shown now.
fn shown(address: SocketAddr, ours: &Authority) -> Vec<u8> {
    let client = connect(address, ours);
    client.session().peer_certificates().unwrap()[0].to_vec()
}

fn connect(address: SocketAddr, ours: &Authority) -> Client {
    Client::connect(address).secure(&ours.client(None), "api.test").unwrap()
}

/// Ends the load, also when an assertion fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A renewed pair is taken by itself, one that does not fit is not, and no request fails of it.
#[test]
fn renewed_certificates_are_taken_under_load_and_bad_ones_are_not() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let lines = r#"tls = { cert = "tls.crt", key = "tls.key" }"#;
    let first = ours.leaf(&["api.test"]);
    let files = [("tls.crt", &*first.cert_pem()), ("tls.key", &*first.key_pem())];
    let gateway = start(lines, &files, &upstream);
    let write = |name: &str, text: &str| fs::write(gateway.directory().join(name), text).unwrap();
    let address = gateway.running().address();
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _over = Over(&is_over);
        // One that keeps its connection, and one that opens others.
        scope.spawn(|| {
            let mut client = connect(address, &ours);
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(client.get("/_faregate/plans", KEY).status(), 200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let mut client = connect(address, &ours);
                assert_eq!(client.get("/_faregate/plans", KEY).status(), 200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut before = first.cert.der().to_vec();
        for _ in 0..3 {
            let next = ours.leaf(&["api.test"]);
            write("tls.crt", &next.cert_pem());
            // Between the two there is no pair, however long that lasts.
            thread::sleep(Duration::from_millis(1500));
            assert_eq!(shown(address, &ours), before);
            write("tls.key", &next.key_pem());
            before = next.cert.der().to_vec();
            wait_for("the renewed certificate", || (shown(address, &ours) == before).then_some(()));
        }
        write("tls.key", "nothing");
        let refused = gateway.running().reload().unwrap_err().to_string();
        assert!(refused.ends_with(": 1 error"), "{refused}");
        assert_eq!(shown(address, &ours), before);
    });
    assert!(served.into_inner() > 100);
}
