//! A client that sends frames of any kind, whether they are allowed or not.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::support::{DEADLINE, KEY};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// The reasons of resets and of the end of a connection (RFC 9113 section 7).
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that frames are written to.
pub(super) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A frame that came.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Gives the reason of a RST_STREAM or a GOAWAY.
    pub(super) fn reason(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl Raw {
    /// Opens a connection with the usual settings.
    pub(super) fn open(address: SocketAddr) -> Self {
        Self::open_with(address, &[])
    }

    /// Opens one with settings: numbers and values.
    pub(super) fn open_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let mut raw = Self { stream, buffer: Vec::new() };
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(number, value)| [&number.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        raw.send([PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat());
        raw
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as is taken; the other side may have closed.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Gives the next frame; `None` at the end of the connection.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(head) = self.buffer.get(..9) {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if self.buffer.len() >= 9 + length {
                    let bytes: Vec<u8> = self.buffer.drain(..9 + length).collect();
                    let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
                    let (kind, flags) = (bytes[3], bytes[4]);
                    return Some(Frame { kind, flags, stream, payload: bytes[9..].to_vec() });
                }
            }
            let mut bytes = [0; 64 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame came: {error}"),
            }
        }
    }

    /// Gives the next frame of a stream that ends it or begins an answer.
    pub(super) fn answer(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM)
                || frame.kind == GOAWAY
            {
                return Some(frame);
            }
        }
    }

    /// Reads to the end of the connection; gives the reason that it was ended for.
    pub(super) fn reason_of_end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(frame) = self.frame() {
            if frame.kind == GOAWAY {
                reason = Some(frame.reason());
            }
        }
        reason
    }

    /// Sends the same again and again until the time is over or the connection; tells whether it ended, and
    /// why.
    pub(super) fn flood(mut self, bytes: &[u8], time: Duration) -> Option<Option<u32>> {
        let writer = self.stream.try_clone().unwrap();
        let bytes = bytes.to_vec();
        let sending = std::thread::spawn(move || {
            let mut writer = writer;
            let until = tokio::time::Instant::now() + time;
            while tokio::time::Instant::now() < until {
                if writer.write_all(&bytes).is_err() {
                    return true;
                }
            }
            let _ = writer.shutdown(std::net::Shutdown::Write);
            false
        });
        let reason = self.reason_of_end();
        sending.join().unwrap().then_some(reason)
    }
}

/// Writes a frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Writes fields without compression (RFC 7541 section 6.2.2).
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(u8::try_from(length).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The pseudo-header of a request for a path.
pub(super) fn pseudo<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":path", path), (":authority", "a.test")]
}

/// Writes a whole request with a key.
pub(super) fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [pseudo("GET", path), vec![("x-api-key", KEY)]].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

/// Writes the head of a request with a key whose body is to follow.
pub(super) fn post(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fields = [&pseudo("POST", path)[..], &[("x-api-key", KEY)], more].concat();
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}
