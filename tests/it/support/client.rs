//! A client on a raw socket: sends exact bytes, and reads answers byte by byte as they are framed.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use tokio::time::Instant;

use super::DEADLINE;

/// A connection of a client.
pub(crate) struct Client {
    stream: TcpStream,
    /// What the bytes pass through, unless they are in clear.
    tls: Option<Box<ClientConnection>>,
    /// Read and not yet looked at.
    buffer: Vec<u8>,
    deadline: Instant,
}

/// An answer's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// Names in lower case, in the order of the wire.
    pub(crate) fields: Vec<(String, String)>,
}

/// A whole answer, or as much of it as came.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body ended as its framing says.
    pub(crate) whole: bool,
}

impl Head {
    /// Gives a field's only value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands {} times in {self:?}", all.len());
        all.first().copied()
    }

    /// Gives all values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.fields.iter().filter(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap();
        let (version, rest) = status_line.split_once(' ').expect(status_line);
        let status = rest.get(..3).expect(status_line).parse().expect(status_line);
        Self { version: version.to_owned(), status, fields: parse_fields(lines) }
    }
}

/// Reads field lines up to an empty one.
pub(crate) fn parse_fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').expect(line);
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    lines.take_while(|line| !line.is_empty()).map(pair).collect()
}

impl Response {
    /// Gives the status.
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    /// Gives a field's only value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// Gives the body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Gives the body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.head, self.body))
    }

    /// Gives the code of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Gives status and code of a refusal, or the status alone.
    pub(crate) fn verdict(&self) -> String {
        let is_problem = self.field("content-type") == Some("application/problem+json");
        let code = if is_problem { self.code() } else { String::new() };
        format!("{} {code}", self.status()).trim_end().to_owned()
    }
}

impl Client {
    /// Opens a connection.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self::over(stream)
    }

    /// Opens a connection from an address of this machine.
    pub(crate) fn connect_from(source: [u8; 4], address: SocketAddr) -> Self {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect_timeout(&address.into(), DEADLINE).unwrap();
        let stream: TcpStream = socket.into();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Opens a connection that takes little at a time, so that a sender is soon held up.
    pub(crate) fn connect_with_small_window(address: SocketAddr) -> Self {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect_timeout(&address.into(), DEADLINE).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        Self { stream, tls: None, buffer: Vec::new(), deadline: Instant::now() + DEADLINE }
    }

    /// Makes a handshake on it as a client of `name`.
    pub(crate) fn secure(mut self, config: &Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        session.complete_io(&mut self.stream)?;
        self.tls = Some(Box::new(session));
        Ok(self)
    }

    /// Gives what is known of its TLS.
    pub(crate) fn session(&self) -> &ClientConnection {
        self.tls.as_ref().expect("the connection is in clear")
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(bytes),
            Some(session) => {
                let mut stream = rustls::Stream::new(&mut **session, &mut self.stream);
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.read(bytes),
            Some(session) => rustls::Stream::new(&mut **session, &mut self.stream).read(bytes),
        }
    }

    /// Sends exactly these bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(bytes.as_ref()).unwrap();
        self.deadline = Instant::now() + DEADLINE;
    }

    /// Sends as much as is taken; the other side may have closed.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.deadline = Instant::now() + DEADLINE;
        self.write(bytes.as_ref())
    }

    /// Reads something; gives how much that is, 0 at the end.
    pub(crate) fn try_read(&mut self) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        self.read(&mut [0; 1024])
    }

    /// Sends a request without a body and reads the answer.
    pub(crate) fn request(&mut self, method: &str, path: &str, fields: &[&str]) -> Response {
        self.send(head(method, path, fields));
        if method == "HEAD" { self.response_to_head() } else { self.response() }
    }

    /// Sends a GET with a key and reads the answer.
    pub(crate) fn get(&mut self, path: &str, key: &str) -> Response {
        self.request("GET", path, &[&bearer(key)])
    }

    /// Reads one answer, past those that go ahead of it.
    pub(crate) fn response(&mut self) -> Response {
        let mut head = self.head();
        while head.status < 200 && head.status != 101 {
            head = self.head();
        }
        self.body_of(head)
    }

    /// Reads one answer to HEAD: it has no body, whatever its fields say.
    pub(crate) fn response_to_head(&mut self) -> Response {
        let head = self.head();
        Response { head, body: Vec::new(), trailers: Vec::new(), whole: true }
    }

    /// Reads an answer's head.
    pub(crate) fn head(&mut self) -> Head {
        let text = self.until(b"\r\n\r\n").unwrap_or_else(|| {
            panic!("no head came, but {:?}", String::from_utf8_lossy(&self.buffer))
        });
        Head::parse(std::str::from_utf8(&text).unwrap())
    }

    /// Reads the body that belongs to a head.
    pub(crate) fn body_of(&mut self, head: Head) -> Response {
        let empty = head.status < 200 || head.status == 204 || head.status == 304;
        let mut response = Response { head, body: Vec::new(), trailers: Vec::new(), whole: true };
        if empty {
            return response;
        }
        if response.field("transfer-encoding").is_some_and(|value| value == "chunked") {
            assert!(response.field("content-length").is_none(), "two framings: {response:?}");
            while let Some(chunk) = self.chunk() {
                if !chunk.is_empty() {
                    response.body.extend(chunk);
                    continue;
                }
                let text = self.trailer_lines();
                response.whole = text.is_some();
                response.trailers = parse_fields(text.unwrap_or_default().split("\r\n"));
                return response;
            }
            response.whole = false;
        } else if let Some(length) = response.field("content-length") {
            let length: usize = length.parse().unwrap();
            response.body = self.exactly(length);
            response.whole = response.body.len() == length;
        } else {
            while self.fill() {}
            response.body = std::mem::take(&mut self.buffer);
        }
        response
    }

    /// Reads one chunk; an empty one is the last. `None` when the connection ends before.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n")?;
        let size = std::str::from_utf8(&line).unwrap().trim_end();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return Some(Vec::new());
        }
        let mut chunk = self.exactly(size + 2);
        let whole = chunk.len() == size + 2;
        chunk.truncate(size);
        // What came of a broken chunk counts for nothing.
        whole.then_some(chunk)
    }

    /// Reads this many bytes, or fewer when the connection ends before.
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        self.buffer.drain(..count.min(self.buffer.len())).collect()
    }

    /// Reads what there is of the next bytes, at most so many; nothing at the end.
    pub(crate) fn some(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let count = self.stream.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }

    /// Reads and throws away this many bytes; gives how many came.
    pub(crate) fn skip(&mut self, count: u64) -> u64 {
        let mut left = count;
        loop {
            let have = u64::try_from(self.buffer.len()).unwrap().min(left);
            self.buffer.drain(..usize::try_from(have).unwrap());
            left -= have;
            self.deadline = Instant::now() + DEADLINE;
            if left == 0 || !self.fill() {
                return count - left;
            }
        }
    }

    /// Asserts that the connection is closed without another byte; a reset counts as closed.
    pub(crate) fn expect_closed(&mut self) {
        while self.fill() {}
        assert_eq!(String::from_utf8_lossy(&self.buffer), "");
    }

    /// Asserts that nothing comes for a while.
    pub(crate) fn expect_silence(&mut self, time: Duration) {
        assert_eq!(self.buffer, b"");
        self.stream.set_read_timeout(Some(time)).unwrap();
        let read = self.read(&mut [0]);
        let kind = read.map_err(|error| error.kind());
        assert!(
            matches!(kind, Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)),
            "{kind:?}"
        );
    }

    /// Reads to the end, whatever comes.
    pub(crate) fn drain(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads whatever comes within a time.
    pub(crate) fn drain_for(&mut self, time: Duration) -> Vec<u8> {
        let end = Instant::now() + time;
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.read(&mut bytes) {
                Ok(count @ 1..) => self.buffer.extend(&bytes[..count]),
                Ok(0) | Err(_) => return std::mem::take(&mut self.buffer),
            }
        }
    }

    /// Tells whether something has come.
    pub(crate) fn has_answer(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        peeked.is_ok()
    }

    /// Ends our side.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends our side, unless the other has ended all.
    pub(crate) fn finish_if_open(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves with a reset, as a program that was killed may.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn trailer_lines(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let line = String::from_utf8(self.until(b"\r\n")?).unwrap();
            if line == "\r\n" {
                return Some(text);
            }
            text.push_str(&line);
        }
    }

    fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer.windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Some(self.buffer.drain(..at + mark.len()).collect());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "the answer did not come whole: {:?}", self.buffer.len());
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut bytes = [0; 64 * 1024];
        match self.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}, have {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }
}

/// Writes a request's head; a Host of its own goes before the usual one.
pub(crate) fn head(method: &str, path: &str, fields: &[&str]) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        text.push_str("Host: gateway.test\r\n");
    }
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

/// Writes the field that carries a key.
pub(crate) fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}
