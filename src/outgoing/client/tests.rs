use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{outgoing::resolver::Resolved, tls::provider};

/// A resolver that gives the same addresses for each name, or never gives any.
struct Fixed {
    addresses: Option<Vec<SocketAddr>>,
    asked: AtomicUsize,
}

impl Resolver for Fixed {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolved<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.addresses.clone() {
            Some(addresses) => Box::pin(async move { Ok(addresses) }),
            None => Box::pin(std::future::pending()),
        }
    }
}

fn fixed(addresses: Option<&[&str]>) -> Arc<Fixed> {
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Arc::new(Fixed { addresses: addresses.map(parse), asked: AtomicUsize::new(0) })
}

fn client(resolver: &Arc<Fixed>) -> Client {
    Client::new(Arc::<Fixed>::clone(resolver), Roots::Only(Vec::new()), Timing::default()).unwrap()
}

fn target(url: &str, trust: Trust) -> Target {
    Target::parse(url, trust).unwrap()
}

fn message() -> Request<Full<Bytes>> {
    let target = target("https://hooks.example:8443/in?k=v", Trust::Tenant);
    request(&target).body(Full::new(Bytes::from_static(b"{{}}"))).unwrap()
}

async fn post(client: &Client, target: &Target) -> String {
    client.send(target, message()).await.unwrap_err().to_string()
}

async fn read_request(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}}") {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

/// Converses with a receiver that reads the request and then does as told.
async fn converse_with<F: Future<Output = ()>>(
    receive: impl FnOnce(DuplexStream) -> F,
) -> (Result<Option<StatusCode>, Fault>, Duration) {
    let (ours, mut theirs) = duplex(1024);
    let started = Instant::now();
    let receiver = async {
        read_request(&mut theirs).await;
        receive(theirs).await;
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = converse(ours, message(), started + Duration::from_secs(15)) => result,
        () = receiver => unreachable!(),
    };
    (result.map(|answer| answer.map(|answer| answer.status)), started.elapsed())
}

#[test]
fn timing_is_five_and_fifteen_seconds() {
    let Timing { open, whole } = Timing::default();
    assert_eq!((open.as_secs(), whole.as_secs()), (5, 15));
}

#[tokio::test(start_paused = true)]
async fn silent_receiver_is_given_up_after_fifteen_seconds() {
    let (result, took) = converse_with(async |_stream| std::future::pending().await).await;
    assert!(matches!(result, Ok(None)));
    assert_eq!(took.as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn dripping_head_is_given_up_after_fifteen_seconds() {
    let (result, took) = converse_with(async |mut stream| {
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stream.write_all(&[*byte]).await.unwrap();
        }
    })
    .await;
    assert!(matches!(result, Ok(None)));
    assert_eq!(took.as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn answer_has_its_body() {
    let (ours, mut theirs) = duplex(1024);
    let receiver = async {
        read_request(&mut theirs).await;
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n1\r\nt\r\n0\r\n\r\n";
        theirs.write_all(answer.as_bytes()).await.unwrap();
    };
    let deadline = Instant::now() + Duration::from_secs(1);
    let (answer, ()) = tokio::join!(converse(ours, message(), deadline), receiver);
    assert_eq!(answer.unwrap().unwrap().body, "hat");
}

/// The head is the receiver's word, whatever becomes of the body.
#[tokio::test(start_paused = true)]
async fn body_that_never_ends_changes_nothing() {
    let (result, took) = converse_with(async |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        std::future::pending().await
    })
    .await;
    assert_eq!(result.unwrap(), Some(StatusCode::OK));
    assert_eq!(took.as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn body_is_read_up_to_a_bound() {
    let written = AtomicUsize::new(0);
    let (result, took) = converse_with(async |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {
            written.fetch_add(1024, Ordering::Relaxed);
        }
    })
    .await;
    assert_eq!(result.unwrap(), Some(StatusCode::OK));
    assert_eq!(took, Duration::ZERO);
    let written = written.into_inner();
    assert!((ANSWER_BYTES_MAX..3 * ANSWER_BYTES_MAX).contains(&written), "{written}");
}

#[tokio::test(start_paused = true)]
async fn endless_head_is_no_answer() {
    let (result, took) = converse_with(async |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
    })
    .await;
    assert!(matches!(result, Err(Fault::Http(_))), "{result:?}");
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn closed_connection_and_other_protocols_are_no_answer() {
    for answer in ["", "HTTP/1.1 20", "SSH-2.0-OpenSSH_9.9\r\n", "HTTP/2.0 200 OK\r\n\r\n"] {
        let (result, took) = converse_with(async |mut stream| {
            stream.write_all(answer.as_bytes()).await.unwrap();
            drop(stream);
        })
        .await;
        assert!(matches!(result, Err(Fault::Http(_))), "{answer}: {result:?}");
        assert_eq!(took, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_look_up_is_given_up_after_five_seconds() {
    let client = client(&fixed(None));
    let started = Instant::now();
    let target = target("https://hooks.example/", Trust::Tenant);
    assert_eq!(post(&client, &target).await, "no connection within 5 s");
    assert_eq!(started.elapsed().as_secs(), 5);
}

/// None of these may be connected to, and the answer must not say what the name stands for.
#[tokio::test]
async fn name_with_any_forbidden_address_is_refused() {
    for addresses in [
        &["127.0.0.1:443"][..],
        &["10.0.0.7:443"],
        &["169.254.169.254:443"],
        &["[::1]:443"],
        &["[::ffff:10.0.0.7]:443"],
        &["[64:ff9b::a00:7]:443"],
        &["1.1.1.1:443", "[fd00::1]:443"],
        &["192.168.1.1:443", "1.1.1.1:443"],
    ] {
        let resolver = fixed(Some(addresses));
        let target = target("https://hooks.example/", Trust::Tenant);
        let told = post(&client(&resolver), &target).await;
        let reason = "the URL leads to an address that is not on the public internet; \
                      use a host that anyone can reach";
        assert_eq!(told, reason, "{addresses:?}");
        assert_eq!(resolver.asked.load(Ordering::Relaxed), 1);
    }
}

/// An address that was stored when it was still allowed is looked at again.
#[tokio::test]
async fn literal_address_is_checked_at_connect_time() {
    let mut target = target("https://127.0.0.1/", Trust::Operator);
    target.trust = Trust::Tenant;
    let addresses = client(&fixed(None)).addresses(&target).await;
    assert!(matches!(addresses, Err(Fault::Forbidden(_))));
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to() {
    let public = ["1.1.1.1:443", "[2606:4700::1111]:443"];
    let resolver = fixed(Some(&public));
    let target = target("https://hooks.example/", Trust::Tenant);
    let addresses = client(&resolver).addresses(&target).await.unwrap();
    assert_eq!(addresses, public.map(|text| text.parse().unwrap()));
    assert_eq!(resolver.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn addresses_are_bounded_and_not_none() {
    let target = target("https://hooks.example/", Trust::Operator);
    let none = client(&fixed(Some(&[]))).addresses(&target).await;
    assert!(matches!(none, Err(Fault::NoAddress)));
    let many = client(&fixed(Some(&["127.0.0.1:1"; 100]))).addresses(&target).await;
    assert_eq!(many.unwrap().len(), ADDRESSES_MAX);
}

#[tokio::test]
async fn next_address_is_tried_after_a_refusal() {
    let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (open_address, closed_address) = (open.local_addr().unwrap(), closed.local_addr().unwrap());
    drop(closed);
    let deadline = Instant::now() + Duration::from_secs(10);
    let stream = connect(&[closed_address, open_address], deadline).await.unwrap().unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open_address);
    let refused = connect(&[closed_address], deadline).await;
    assert!(matches!(refused, Err(Fault::Connect(io::ErrorKind::ConnectionRefused))));
}

#[tokio::test]
async fn without_certificates_only_https_fails() {
    let nowhere = fixed(Some(&[]));
    let client = Client { tls: None, ..client(&nowhere) };
    for (url, expected) in [
        ("https://hooks.example/", "this gateway has no CA certificates"),
        ("http://hooks.example/", "the host's name has no address"),
    ] {
        let target = target(url, Trust::Operator);
        let told = post(&client, &target).await;
        assert!(told.starts_with(expected), "{url}: {told}");
    }
    assert_eq!(nowhere.asked.load(Ordering::Relaxed), 1, "https is not looked up");
}

/// A receiver that answers on each connection as often as told, and closes it then. It gives how many connections
/// there were, and what was asked over them.
async fn receiver(answers_per_connection: usize) -> (Target, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(&format!("http://{}/", listener.local_addr().unwrap()), Trust::Operator);
    let (opened, asked) = answer_over(listener, answers_per_connection, async |stream| stream);
    (target, opened, asked)
}

/// Answers over what is made of each connection that comes.
fn answer_over<S, F>(
    listener: tokio::net::TcpListener,
    answers_per_connection: usize,
    begin: impl Fn(TcpStream) -> F + Send + 'static,
) -> (Arc<AtomicUsize>, Arc<AtomicUsize>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    F: Future<Output = S> + Send + 'static,
{
    let (opened, asked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (opening, asking) = (Arc::clone(&opened), Arc::clone(&asked));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            opening.fetch_add(1, Ordering::SeqCst);
            let (asking, beginning) = (Arc::clone(&asking), begin(stream));
            tokio::spawn(async move {
                let mut stream = beginning.await;
                for _ in 0..answers_per_connection {
                    let mut bytes = Vec::new();
                    while !bytes.ends_with(b"}}") {
                        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    assert!(!bytes.windows(5).any(|part| part == b"close"), "it is to be kept");
                    asking.fetch_add(1, Ordering::SeqCst);
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                        .await
                        .unwrap();
                    stream.flush().await.unwrap();
                }
                // It closes what has lain for a while, when something comes.
                let _ = stream.read(&mut [0; 1]).await;
            });
        }
    });
    (opened, asked)
}

fn counted(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

#[tokio::test]
async fn connection_is_kept_and_used_again() {
    let (target, opened, asked) = receiver(usize::MAX).await;
    let (client, kept) = (client(&fixed(None)), Kept::default());
    for repeat in [Repeat::Freely, Repeat::Never, Repeat::Freely, Repeat::Never] {
        let answer = client.send_kept(&kept, repeat, &target, message()).await.unwrap();
        assert_eq!(answer.body, "{}");
    }
    assert_eq!((counted(&opened), counted(&asked)), (1, 4));
    // One after the other over one; at once over as many as are needed.
    let send = || client.send_kept(&kept, Repeat::Never, &target, message());
    let (one, other, third) = tokio::join!(send(), send(), send());
    assert!(one.is_ok() && other.is_ok() && third.is_ok());
    assert_eq!((counted(&opened), counted(&asked)), (3, 7));
}

/// One that is within TLS is kept as well, with the name that was checked once.
#[tokio::test]
async fn connection_within_tls_is_kept_and_used_again() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["hooks.example".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let begin = move |stream| {
        let accepting = acceptor.accept(stream);
        async move { accepting.await.unwrap() }
    };
    let (opened, asked) = answer_over(listener, usize::MAX, begin);
    let resolver = fixed(Some(&[&address.to_string()]));
    let client = Client::new(resolver, Roots::Only(vec![certificate]), Timing::default()).unwrap();
    let (kept, target) = (Kept::default(), target("https://hooks.example/", Trust::Operator));
    for repeat in [Repeat::Freely, Repeat::Never, Repeat::Freely, Repeat::Never] {
        let answer = client.send_kept(&kept, repeat, &target, message()).await.unwrap();
        assert_eq!(answer.body, "{}");
    }
    assert_eq!((counted(&opened), counted(&asked)), (1, 4));
    // Another name of the same address is another place.
    let other = self::target("https://other.example/", Trust::Operator);
    let fault = client.send_kept(&kept, Repeat::Never, &other, message()).await.unwrap_err();
    assert!(matches!(fault, Fault::Tls(_)), "{fault}");
}

/// What closes as the request comes may have taken it: only what asks is asked again.
#[tokio::test]
async fn request_is_sent_again_only_where_it_may_be() {
    let (target, opened, asked) = receiver(1).await;
    let (client, kept) = (client(&fixed(None)), Kept::default());
    let send = |repeat| client.send_kept(&kept, repeat, &target, message());
    send(Repeat::Freely).await.unwrap();
    send(Repeat::Freely).await.unwrap();
    assert_eq!((counted(&opened), counted(&asked)), (2, 2));
    let fault = send(Repeat::Never).await.unwrap_err();
    assert!(!fault.is_unsent(), "{fault}");
    assert_eq!((counted(&opened), counted(&asked)), (2, 2));
}

/// What the other side has closed is not used: nothing of the request is written to it.
#[tokio::test]
async fn connection_that_was_closed_meanwhile_is_not_used() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(&format!("http://{}/", listener.local_addr().unwrap()), Trust::Operator);
    let (client, kept) = (client(&fixed(None)), Kept::default());
    for repeat in [Repeat::Never; 3] {
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"}}") {
                stream.read_buf(&mut bytes).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        };
        let (answer, ()) =
            tokio::join!(client.send_kept(&kept, repeat, &target, message()), answering);
        assert_eq!(answer.unwrap().status, StatusCode::OK);
        // The task that drives it hears that it is closed.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_lain_is_used_only_for_what_may_be_sent_twice() {
    let kept = Kept::default();
    let place = || Place::of(&target("http://127.0.0.1:1/", Trust::Operator));
    let mut theirs = Vec::new();
    for _ in 0..100 {
        let (ours, other) = duplex(1024);
        theirs.push(other);
        kept.put(place(), Open::begin(Box::new(ours)).await.unwrap());
    }
    let other_place = Place::of(&target("http://127.0.0.1:2/", Trust::Operator));
    assert!(kept.take(&other_place, Repeat::Freely).is_none());
    assert!(kept.take(&place(), Repeat::Never).is_some());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(kept.take(&place(), Repeat::Never).is_none());
    let left = std::iter::from_fn(|| kept.take(&place(), Repeat::Freely)).count();
    assert_eq!(left, 63, "no more than so many are kept");
    let (ours, _other) = duplex(1024);
    kept.put(place(), Open::begin(Box::new(ours)).await.unwrap());
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(kept.take(&place(), Repeat::Freely).is_none());
}
