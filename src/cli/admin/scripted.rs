//! An admin listener that follows a script: one step for each connection, in order.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread::JoinHandle,
    time::Duration,
};

use crate::cli::admin::{Admin, Client};

/// What a step does with its connection, and what it has read.
pub(in crate::cli) type Step = Box<dyn FnOnce(TcpStream) -> String + Send>;

/// The listener; it ends with its script.
pub(in crate::cli) struct Scripted {
    pub(in crate::cli) address: SocketAddr,
    script: JoinHandle<Vec<String>>,
}

impl Scripted {
    /// Begins to listen.
    pub(in crate::cli) fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = std::thread::spawn(move || {
            let one = |step: Step| {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                step(stream)
            };
            steps.into_iter().map(one).collect()
        });
        Self { address, script }
    }

    /// Gives the options that lead here, with a token in the directory.
    pub(in crate::cli) fn admin(&self, directory: &Path) -> Admin {
        let token = directory.join("token");
        fs::write(&token, "t0ken\n").unwrap();
        Admin {
            admin: Some(format!("http://{}", self.address)),
            token_file: Some(token),
            ..Admin::default()
        }
    }

    /// Gives a client that leads here and does not wait long.
    pub(in crate::cli) fn client(&self, directory: &Path) -> Client {
        self.admin(directory).client().unwrap().impatient(Duration::from_secs(5))
    }

    /// Gives what every step has read, once all are done.
    pub(in crate::cli) fn read(self) -> Vec<String> {
        self.script.join().unwrap()
    }
}

/// Reads the whole request and answers it with a JSON document.
pub(in crate::cli) fn answer(status: &'static str, body: &serde_json::Value) -> Step {
    let body = body.to_string();
    raw(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// Reads the whole request, writes these bytes and closes the connection.
pub(in crate::cli) fn raw(bytes: impl Into<Vec<u8>>) -> Step {
    let bytes = bytes.into();
    Box::new(move |mut stream| {
        let request = request(&mut BufReader::new(stream.try_clone().unwrap()));
        stream.write_all(&bytes).unwrap();
        request
    })
}

/// Reads the whole request and answers nothing until the client has left.
pub(in crate::cli) fn silence() -> Step {
    Box::new(|stream| {
        let mut reader = BufReader::new(stream);
        let request = request(&mut reader);
        let _left = reader.read(&mut [0]);
        request
    })
}

/// Gives a chunk of a chunked body.
pub(in crate::cli) fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// Reads the head of a request.
pub(in crate::cli) fn head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "cut in the head: {head}");
    }
    head
}

/// Reads the next chunk of a chunked body; empty at its end, and when the connection is cut.
pub(in crate::cli) fn next_chunk(reader: &mut impl BufRead) -> Vec<u8> {
    let mut size = String::new();
    if reader.read_line(&mut size).unwrap_or(0) == 0 {
        return Vec::new();
    }
    let size = usize::from_str_radix(size.trim(), 16).unwrap();
    let mut data = vec![0; size + 2];
    reader.read_exact(&mut data).unwrap();
    data.truncate(size);
    data
}

fn request(reader: &mut impl BufRead) -> String {
    let mut text = head(reader);
    let lower = text.to_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        loop {
            let data = next_chunk(reader);
            if data.is_empty() {
                return text;
            }
            text.push_str(&String::from_utf8_lossy(&data));
        }
    }
    if let Some((_, rest)) = lower.split_once("content-length: ") {
        let mut body = vec![0; rest.split("\r\n").next().unwrap().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        text.push_str(&String::from_utf8_lossy(&body));
    }
    text
}
