//! Receivers behind TLS: who is trusted, for which name, until when.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use faregate::webhooks::{Roots, Trust, Verdict};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs::default_provider,
    pki_types::PrivateKeyDer,
};

use super::{Bench, Names, client, endpoint};
use crate::support::{DEADLINE, Upstream, upstream::OK, wait_for};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn trusting(authority: &Authority) -> Roots {
    Roots::Only(vec![authority.der().clone()])
}

/// A receiver behind TLS that answers 200, and keeps the names and requests it was sent.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The name that TLS was asked for, and a request.
type Seen = (Option<String>, String);

impl Receiver {
    fn start(authority: &Authority, params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        // The thread waits in `accept` until the process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // An error is a client that refuses the certificate.
                if let Ok(received) = receive(stream, &config) {
                    shared.lock().unwrap().push(received);
                }
            }
        });
        Self { address, seen }
    }

    /// Waits for the first request, which is kept after it was answered.
    fn first(&self) -> Seen {
        wait_for("a request over TLS", || self.seen.lock().unwrap().first().cloned())
    }
}

fn receive(stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Seen> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"}}") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let name = stream.conn.server_name().map(str::to_owned);
    stream.write_all(OK.as_bytes())?;
    stream.flush()?;
    Ok((name, String::from_utf8(request).unwrap()))
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// Sends one event to `https://hooks.test/` at the receiver, and gives what came of it.
fn send(receiver: &Receiver, roots: Roots, url: &str) -> Verdict {
    let names = Names::of("hooks.test", receiver.address);
    let bench = Bench::start_with(client(&names, roots, Duration::from_secs(60)), Arc::default());
    bench.add(&endpoint("one", url, Trust::Operator), "acme");
    bench.outbox.wait_for(1).remove(0)
}

#[test]
fn trusted_receiver_is_sent_to() {
    let authority = authority("ours");
    let receiver = Receiver::start(&authority, &params("hooks.test"));
    let verdict = send(&receiver, trusting(&authority), "https://hooks.test/in");
    assert_eq!(verdict, Verdict::Delivered { status: 200 });
    let (name, request) = receiver.first();
    assert_eq!(name.as_deref(), Some("hooks.test"));
    assert!(request.starts_with("POST /in HTTP/1.1\r\nhost: hooks.test\r\n"), "{request}");
}

#[test]
fn address_in_a_certificate_is_trusted() {
    let authority = authority("ours");
    let receiver = Receiver::start(&authority, &params("127.0.0.1"));
    let url = format!("https://{}/", receiver.address);
    let verdict = send(&receiver, trusting(&authority), &url);
    assert_eq!(verdict, Verdict::Delivered { status: 200 });
    assert_eq!(receiver.first().0, None);
}

#[test]
fn untrusted_receivers_are_sent_nothing() {
    let (ours, other) = (authority("ours"), authority("other"));
    let mut expired = params("hooks.test");
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    for (params, roots, expected) in [
        (params("hooks.test"), Roots::System, "UnknownIssuer"),
        (params("hooks.test"), trusting(&other), "UnknownIssuer"),
        (params("other.test"), trusting(&ours), "not valid for name"),
        (params("127.0.0.1"), trusting(&ours), "not valid for name"),
        (expired, trusting(&ours), "certificate expired"),
    ] {
        let receiver = Receiver::start(&ours, &params);
        let verdict = send(&receiver, roots, "https://hooks.test/");
        let Verdict::Retry { failure, .. } = verdict else { panic!("{verdict:?}") };
        assert!(failure.reason.starts_with("no TLS connection: invalid peer certificate: "));
        assert!(failure.reason.contains(expected), "{}", failure.reason);
        assert!(receiver.seen.lock().unwrap().is_empty());
    }
}

/// A plain receiver at an https URL gets no plain request.
#[test]
fn nothing_is_sent_without_tls() {
    let plain = Upstream::ok();
    let names = Names::of("hooks.test", plain.address());
    let client = client(&names, Roots::Only(Vec::new()), Duration::from_millis(500));
    let bench = Bench::start_with(client, Arc::default());
    bench.add(&endpoint("one", "https://hooks.test/", Trust::Operator), "acme");
    assert!(matches!(bench.outbox.wait_for(1)[0], Verdict::Retry { .. }));
    assert_eq!(plain.count(), 0);
}
