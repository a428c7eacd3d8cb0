//! Memory stays flat, whatever passes through: the real binary, measured from outside.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use faregate::model::KeyDigest;

use crate::process::{DEADLINE, Gateway, free_address};

const BODY_BYTES: u64 = 128 << 20;

/// More than this one large body must not add to what a gateway takes without one, in KiB. What it
/// takes without depends on the build and the number of its threads.
const GROWTH_KIB: u64 = 8 << 10;

/// How long a reader takes nothing: long enough to store a whole body, if one did.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads a head, byte by byte: it is short.
fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Answers one request: a GET by `BODY_BYTES` bytes, anything else by the number of bytes it had.
fn serve(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().unwrap();
    let head = read_head(&mut stream);
    let mut piece = vec![b'x'; 64 << 10];
    if head.starts_with("GET") {
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {BODY_BYTES}\r\n\r\n").unwrap();
        for _ in 0..BODY_BYTES / 65_536 {
            stream.write_all(&piece).unwrap();
        }
    } else {
        let mut left = BODY_BYTES;
        // The client must be held up meanwhile, not its body stored.
        std::thread::sleep(PAUSE);
        while left > 0 {
            let most = usize::try_from(left.min(65_536)).unwrap();
            stream.read_exact(&mut piece[..most]).unwrap();
            left -= u64::try_from(most).unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    }
}

fn client(gateway: &Gateway, method: &str, fields: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!("{method} /x HTTP/1.1\r\nhost: a\r\nx-api-key: k1\r\nconnection: close\r\n");
    stream.write_all(format!("{head}{fields}\r\n").as_bytes()).unwrap();
    stream
}

#[test]
fn large_bodies_pass_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, admin) = (free_address(), free_address());
    let file = format!(
        "[server]\nlisten = \"{address}\"\nlimits = {{ body_bytes = \"1GiB\" }}\n\n\
         [admin]\nlisten = \"{admin}\"\n\n\
         [upstreams.api]\nurl = \"http://{}\"\n\n\
         [[routes]]\npath = \"/x\"\nupstream = \"api\"\n\n\
         [plans.all]\n\n[customers.acme]\nplan = \"all\"\nkeys = [\"{}\"]\n",
        listener.local_addr().unwrap(),
        KeyDigest::of(b"k1"),
    );
    fs::write(directory.path().join("faregate.toml"), file).unwrap();
    let gateway = Gateway::start(directory.path(), address, admin);
    let before = gateway.peak_memory_kib();
    let upstream = std::thread::spawn(move || {
        serve(&listener);
        serve(&listener);
    });

    let mut down = client(&gateway, "GET", "");
    read_head(&mut down);
    // The upstream must be held up meanwhile, not its answer stored.
    std::thread::sleep(PAUSE);
    let (mut piece, mut received) = (vec![0; 256 << 10], 0);
    loop {
        let count = down.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        received += u64::try_from(count).unwrap();
    }
    assert_eq!(received, BODY_BYTES);

    let mut up = client(&gateway, "POST", &format!("content-length: {BODY_BYTES}\r\n"));
    for _ in 0..BODY_BYTES / 65_536 {
        up.write_all(&piece[..65_536]).unwrap();
    }
    let mut answer = String::new();
    up.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");

    let peak = gateway.peak_memory_kib();
    assert!(peak - before <= GROWTH_KIB, "{before} KiB at first, {peak} KiB at the most");
    upstream.join().unwrap();
}
