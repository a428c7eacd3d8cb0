//! Certificates that change while requests come.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rustls::client::Resumption;

use super::*;
use crate::{http2::caller::Caller, support::wait_for};

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

/// Calls by HTTP/2 until the load is over, on a connection that stays and on new ones; gives how many were served.
fn load<'a>(
    scope: &'a thread::Scope<'a, '_>,
    is_over: &'a AtomicBool,
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> [thread::ScopedJoinHandle<'a, u64>; 2] {
    let other = Arc::clone(&config);
    let stays = scope.spawn(move || {
        let caller = Caller::secured_at(address, &config, "api.test");
        calls(is_over, || assert_eq!(caller.get("/x", KEY).status(), 200))
    });
    let opens = scope.spawn(move || {
        calls(is_over, || {
            // Without what the last connection left it is a whole handshake.
            let mut config = ClientConfig::clone(&other);
            config.resumption = Resumption::disabled();
            let caller = Caller::secured_at(address, &Arc::new(config), "api.test");
            assert_eq!(caller.get("/x", KEY).status(), 200);
        })
    });
    [stays, opens]
}

fn calls(is_over: &AtomicBool, mut call: impl FnMut()) -> u64 {
    let mut served = 0;
    while !is_over.load(Ordering::Relaxed) {
        call();
        served += 1;
        // The quota is for this many in the time that the changes take.
        thread::sleep(Duration::from_millis(10));
    }
    served
}

#[test]
fn no_request_of_http2_fails_while_the_certificate_changes() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let lines = r#"tls = { cert = "tls.pem", key = "tls.pem" }"#;
    let gateway = start(lines, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let address = gateway.running().address();
    let is_over = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        let over = Over(&is_over);
        let load = load(scope, &is_over, address, ours.client(None));
        for _ in 0..5 {
            let next = ours.leaf(&["api.test"]);
            fs::write(gateway.directory().join("tls.pem"), next.pem()).unwrap();
            gateway.running().reload().unwrap();
            assert_eq!(shown(address, &ours), next.cert.der().to_vec());
            thread::sleep(Duration::from_millis(100));
        }
        drop(over);
        load.map(|one| one.join().unwrap())
    });
    assert!(served.iter().all(|count| *count > 5), "{served:?}");
    gateway.wait_used("acme", served.iter().sum());
    assert_eq!(upstream.count() as u64, served.iter().sum::<u64>());
}

/// Who is vouched for before and after a change of trust notices nothing of it, and who is not is let in and shut out.
#[test]
fn no_request_of_http2_fails_while_trust_in_clients_changes() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let (theirs, others) = (Authority::new("theirs"), Authority::new("others"));
    let lines = r#"tls = { cert = "tls.pem", key = "tls.pem", client_ca = "clients.pem" }"#;
    let files = [("tls.pem", &*ours.leaf(&["api.test"]).pem()), ("clients.pem", &*theirs.pem())];
    let gateway = start(lines, &files, &upstream);
    let address = gateway.running().address();
    let known = ours.client(Some(&theirs.leaf(&["caller.test"])));
    let stranger = ours.client(Some(&others.leaf(&["caller.test"])));
    let both = format!("{}{}", theirs.pem(), others.pem());
    let is_over = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        let over = Over(&is_over);
        let load = load(scope, &is_over, address, known);
        for is_trusted in [true, false, true, false] {
            let trusted = if is_trusted { both.clone() } else { theirs.pem() };
            fs::write(gateway.directory().join("clients.pem"), trusted).unwrap();
            gateway.running().reload().unwrap();
            let read =
                Client::connect(address).secure(&stranger, "api.test").and_then(|mut client| {
                    client.try_send("GET /_faregate/plans HTTP/1.1\r\nHost: api.test\r\n\r\n")?;
                    client.try_read()
                });
            assert_eq!(read.is_ok(), is_trusted, "{read:?}");
            thread::sleep(Duration::from_millis(100));
        }
        drop(over);
        load.map(|one| one.join().unwrap())
    });
    assert!(served.iter().all(|count| *count > 5), "{served:?}");
    gateway.wait_used("acme", served.iter().sum());
    assert_eq!(upstream.count() as u64, served.iter().sum::<u64>());
}
