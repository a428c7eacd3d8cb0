//! The body of an import as a thread that may block reads it, some pieces ahead at most.

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// How many pieces are read ahead.
const AHEAD: usize = 8;

/// How long a body may not go on before it is taken for broken off.
const IDLE: Duration = Duration::from_secs(60);

/// How far the beginning is looked at.
const PEEK_MAX: usize = 64 * 1024;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// A piece of a body, or its end. Where no end comes the body is broken off too.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    Broken(&'static str),
    End,
}

/// The body of an import, for a thread that may block.
#[derive(Debug)]
pub(super) struct Upload {
    pieces: Receiver<Piece>,
    current: Bytes,
    end: Option<End>,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Before its end, and why. What stands behind the last whole line is not to be used.
    Broken(&'static str),
    Whole,
}

const CUT: &str = "the body ended early";

impl Upload {
    /// Reads a body as a task, until it ends or nobody wants more of it.
    pub(super) fn start(body: Body) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        tokio::spawn(pump(body, sender));
        Self { pieces, current: Bytes::new(), end: None }
    }

    /// Makes a body that comes in these pieces.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of(parts: &[&[u8]], end: End) -> Self {
        let end = match end {
            End::Whole => Piece::End,
            End::Broken(reason) => Piece::Broken(reason),
        };
        let parts = parts.iter().map(|part| Piece::Bytes(Bytes::copy_from_slice(part)));
        let (sender, pieces) = mpsc::channel(parts.len() + 1);
        for piece in parts.chain([end]) {
            sender.try_send(piece).expect("there is room for all");
        }
        Self { pieces, current: Bytes::new(), end: None }
    }

    /// Gives what comes next, at least a byte, and blocks until it is there; nothing at the end.
    pub(super) fn peek(&mut self) -> &[u8] {
        while self.current.is_empty() && self.end.is_none() {
            self.current = self.next().unwrap_or_default();
        }
        &self.current
    }

    /// Passes by bytes that were peeked at.
    pub(super) fn consume(&mut self, count: usize) {
        self.current.advance(count.min(self.current.len()));
    }

    /// Tells how the body ended, once it has.
    pub(super) fn end(&self) -> Option<End> {
        self.end.filter(|_| self.current.is_empty())
    }

    /// Passes by a byte order mark, and gives the first byte that is not blank without passing by it
    /// or anything before it.
    pub(super) fn begin(&mut self) -> Option<u8> {
        let enough = |text: &[u8]| {
            text.len() >= PEEK_MAX
                || text.len() >= BOM.len()
                    && text.iter().skip(BOM.len()).any(|byte| !is_blank(*byte))
        };
        let mut beginning = BytesMut::new();
        while !enough(&beginning)
            && let Some(piece) = self.next()
        {
            beginning.extend_from_slice(&piece);
        }
        if beginning.starts_with(BOM) {
            beginning.advance(BOM.len());
        }
        self.current = beginning.freeze();
        self.current.iter().copied().find(|byte| !is_blank(*byte))
    }

    fn next(&mut self) -> Option<Bytes> {
        if self.end.is_some() {
            return None;
        }
        match self.pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => return Some(bytes),
            Some(Piece::Broken(reason)) => self.end = Some(End::Broken(reason)),
            Some(Piece::End) => self.end = Some(End::Whole),
            // The task was ended, as when the gateway stops.
            None => self.end = Some(End::Broken(CUT)),
        }
        None
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

async fn pump(mut body: Body, pieces: Sender<Piece>) {
    loop {
        let piece = match tokio::time::timeout(IDLE, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => Piece::Bytes(bytes),
                // Trailers say nothing of an import.
                Err(_) => continue,
            },
            Ok(Some(Err(_))) => Piece::Broken(CUT),
            Ok(None) => Piece::End,
            Err(_) => Piece::Broken("the body did not go on for 60 s"),
        };
        let goes_on = matches!(piece, Piece::Bytes(_));
        if pieces.send(piece).await.is_err() || !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(upload: &mut Upload) -> Vec<u8> {
        let mut all = Vec::new();
        while let part @ [_, ..] = upload.peek() {
            all.extend_from_slice(part);
            let count = part.len();
            upload.consume(count);
        }
        all
    }

    #[test]
    fn beginning_is_looked_at_and_kept_but_for_its_mark() {
        let parts: [&[u8]; 5] = [b"\xef", b"\xbb", b"\xbf \n", b"", b"{\"a"];
        let mut upload = Upload::of(&parts, End::Whole);
        assert_eq!(upload.begin(), Some(b'{'));
        assert_eq!(upload.end(), None);
        assert_eq!(rest(&mut upload), b" \n{\"a");
        assert_eq!(upload.end(), Some(End::Whole));
    }

    #[test]
    fn short_and_empty_bodies_have_a_beginning() {
        for (parts, first) in
            [(&[][..], None), (&[&b"\n "[..]][..], None), (&[&b"a"[..]][..], Some(b'a'))]
        {
            let mut upload = Upload::of(parts, End::Whole);
            assert_eq!(upload.begin(), first);
            assert_eq!(rest(&mut upload), parts.concat());
        }
    }

    #[test]
    fn broken_body_is_told_behind_what_came() {
        let mut upload = Upload::of(&[b"ab"], End::Broken(CUT));
        assert_eq!(upload.begin(), Some(b'a'));
        assert_eq!(upload.end(), None);
        assert_eq!(rest(&mut upload), b"ab");
        assert_eq!(upload.end(), Some(End::Broken(CUT)));
    }
}
