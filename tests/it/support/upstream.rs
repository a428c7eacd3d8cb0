//! An upstream that does as a test says: a thread per connection, and a script that writes its own
//! bytes.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{DEADLINE, client::parse_fields, wait_for};

/// An upstream that listens.
pub(crate) struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What an upstream has received.
#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    /// Those that are over.
    closed: usize,
    requests: Vec<Received>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Method, target and version.
    pub(crate) line: String,
    /// Names in lower case, in the order of the wire.
    pub(crate) fields: Vec<(String, String)>,
    /// The beginning of the body, as far as the script read it.
    pub(crate) body: Vec<u8>,
    /// All bytes of the body that were read.
    pub(crate) body_bytes: u64,
    /// The fields behind it.
    pub(crate) trailers: Vec<(String, String)>,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// It takes the next request.
    KeepAlive,
    /// It is closed.
    Close,
    /// It is closed with a reset.
    Reset,
    /// Nothing more is said until the other side closes.
    Silence,
}

/// A request to answer.
pub(crate) struct Exchange<'a> {
    stream: &'a TcpStream,
    buffer: &'a mut Vec<u8>,
    seen: &'a Mutex<Seen>,
    index: usize,
    /// Of its connection.
    is_first: bool,
    request: Received,
}

/// How much of a body is kept to look at.
const KEPT: usize = 256 * 1024;

/// An answer as good as another.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

impl Upstream {
    /// Starts an upstream that answers each request by a script.
    pub(crate) fn start(
        script: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// Starts one on a listener.
    pub(crate) fn start_on(
        listener: TcpListener,
        script: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, script) = (Arc::clone(&seen), Arc::new(script));
        // The thread waits in `accept` until the process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                lock(&shared).connections += 1;
                let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
                std::thread::spawn(move || {
                    // An error is the end of the connection, which the gateway may close.
                    let _ = serve(&stream, &shared, &*script);
                    drop(stream);
                    lock(&shared).closed += 1;
                });
            }
        });
        Self { address, seen }
    }

    /// Starts an upstream that reads each request and gives the same answer.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let answer = answer.into();
        Self::start(move |exchange| {
            exchange.read_body()?;
            exchange.send(&answer)?;
            Ok(then)
        })
    }

    /// Starts an upstream that answers 200.
    pub(crate) fn ok() -> Self {
        Self::answering(OK, Then::KeepAlive)
    }

    /// Starts an upstream that answers 200 without a body, as HEAD wants it.
    pub(crate) fn ok_to_head() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Then::KeepAlive)
    }

    /// Gives an address where nothing listens.
    pub(crate) fn nowhere() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    /// Gives its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the number of connections it was opened.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.seen).connections
    }

    /// Gives the number of connections that are over.
    pub(crate) fn closed(&self) -> usize {
        lock(&self.seen).closed
    }

    /// Waits until this many connections are over.
    pub(crate) fn wait_closed(&self, count: usize) {
        let closed = || (lock(&self.seen).closed >= count).then_some(());
        wait_for("closed connections of the upstream", closed);
    }

    /// Gives the number of requests it received.
    pub(crate) fn count(&self) -> usize {
        lock(&self.seen).requests.len()
    }

    /// Forgets the requests it received.
    pub(crate) fn forget(&self) {
        lock(&self.seen).requests.clear();
    }

    /// Gives the requests it received.
    pub(crate) fn requests(&self) -> Vec<Received> {
        lock(&self.seen).requests.clone()
    }

    /// Gives the last request it received.
    pub(crate) fn last(&self) -> Received {
        self.requests().pop().expect("the upstream has received nothing")
    }

    /// Waits until it has received this many requests.
    pub(crate) fn wait_for(&self, count: usize) {
        wait_for("requests at the upstream", || (self.count() >= count).then_some(()));
    }
}

impl Received {
    /// Gives all values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.fields.iter().filter(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// Gives a field's only value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands {} times in {self:?}", all.len());
        all.first().copied()
    }

    /// Gives the target.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

impl Exchange<'_> {
    /// Gives the request.
    pub(crate) fn request(&self) -> &Received {
        &self.request
    }

    /// Tells whether it is the first of its connection.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }

    /// Reads the body to its end.
    pub(crate) fn read_body(&mut self) -> io::Result<()> {
        if self.request.field("transfer-encoding").is_some() {
            return self.read_chunks();
        }
        let length = self.request.field("content-length").map_or(0, |text| text.parse().unwrap());
        let result = self.read_bytes(length);
        self.note();
        result
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Gives a second way to send, for a thread that answers while this one reads.
    pub(crate) fn sender(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Reads what comes next, whatever it is; nothing at the end.
    pub(crate) fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty()
            && let Err(error) = fill(self.stream, self.buffer)
        {
            let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
            return if is_end { Ok(Vec::new()) } else { Err(error) };
        }
        Ok(std::mem::take(self.buffer))
    }

    /// Gives what came behind the request by now.
    pub(crate) fn pending(&mut self) -> Vec<u8> {
        self.stream.set_nonblocking(true).unwrap();
        let _ = fill(self.stream, self.buffer);
        self.stream.set_nonblocking(false).unwrap();
        self.buffer.clone()
    }

    /// Waits until the other side closes or resets, or sends more.
    pub(crate) fn wait_for_close(&mut self) {
        let _ = self.stream.read(&mut [0]);
    }

    fn read_chunks(&mut self) -> io::Result<()> {
        loop {
            let line = until(self.stream, self.buffer, b"\r\n")?;
            let size = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            if size == 0 {
                loop {
                    let line = until(self.stream, self.buffer, b"\r\n")?;
                    match line.trim_end() {
                        "" => break,
                        line => self.request.trailers.extend(parse_fields([line].into_iter())),
                    }
                }
                self.note();
                return Ok(());
            }
            let result = self.read_bytes(size);
            self.note();
            result?;
            until(self.stream, self.buffer, b"\r\n")?;
        }
    }

    fn read_bytes(&mut self, mut left: u64) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() {
                fill(self.stream, self.buffer)?;
            }
            let have = u64::try_from(self.buffer.len()).unwrap().min(left);
            let taken: Vec<u8> = self.buffer.drain(..usize::try_from(have).unwrap()).collect();
            left -= have;
            self.request.body_bytes += have;
            let room = KEPT.saturating_sub(self.request.body.len());
            self.request.body.extend(taken.iter().take(room));
        }
        Ok(())
    }

    fn note(&self) {
        lock(self.seen).requests[self.index] = self.request.clone();
    }
}

/// A listener that takes no more connections: its backlog is full.
pub(crate) struct Full {
    _listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
    address: SocketAddr,
}

impl Full {
    /// Fills one.
    pub(crate) fn new() -> Self {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let listener = socket();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..16 {
            let next = socket();
            let connected = next.connect_timeout(&address.into(), Duration::from_millis(100));
            waiting.push(next);
            if connected.is_err() {
                return Self { _listener: listener, _waiting: waiting, address };
            }
        }
        panic!("the backlog does not fill");
    }

    /// Gives its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap()
}

type Script = dyn Fn(&mut Exchange<'_>) -> io::Result<Then>;

fn serve(stream: &TcpStream, seen: &Mutex<Seen>, script: &Script) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE * 3))?;
    stream.set_write_timeout(Some(DEADLINE * 3))?;
    let mut buffer = Vec::new();
    let mut is_first = true;
    loop {
        let text = until(stream, &mut buffer, b"\r\n\r\n")?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = parse_fields(lines);
        let request =
            Received { line, fields, body: Vec::new(), body_bytes: 0, trailers: Vec::new() };
        let index = {
            let mut seen = lock(seen);
            seen.requests.push(request.clone());
            seen.requests.len() - 1
        };
        let mut exchange = Exchange { stream, buffer: &mut buffer, seen, index, is_first, request };
        is_first = false;
        match script(&mut exchange)? {
            Then::KeepAlive => {}
            Then::Close => return Ok(()),
            Then::Reset => return socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Then::Silence => {
                exchange.wait_for_close();
                return Ok(());
            }
        }
    }
}

fn until(stream: &TcpStream, buffer: &mut Vec<u8>, mark: &[u8]) -> io::Result<String> {
    loop {
        let found = buffer.windows(mark.len()).position(|window| window == mark);
        if let Some(at) = found {
            let text = buffer.drain(..at + mark.len()).collect();
            return String::from_utf8(text).map_err(io::Error::other);
        }
        fill(stream, buffer)?;
    }
}

fn fill(mut stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; 64 * 1024];
    match stream.read(&mut bytes)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            buffer.extend(&bytes[..count]);
            Ok(())
        }
    }
}
