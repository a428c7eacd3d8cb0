//! A socket as hyper sees it, which tells an observer what moves through it.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Who is told what moves through a socket.
pub(crate) trait Observer {
    /// Bytes came; at least one.
    fn read(&self) {}

    /// Bytes were taken by the system; at least one.
    fn written(&self) {}

    /// hyper is done with the socket.
    fn closed(&self, _stream: TcpStream) {}
}

/// Up to so many bytes go out in one piece.
const JOINED_BYTES_MAX: usize = 2048;

/// A socket with an observer.
pub(crate) struct Observed<O: Observer> {
    /// `None` only after drop has begun.
    stream: Option<TcpStream>,
    observer: O,
}

impl<O: Observer> Observed<O> {
    pub(crate) fn new(stream: TcpStream, observer: O) -> Self {
        Self { stream: Some(stream), observer }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn note_written(&self, bytes: usize) -> Poll<io::Result<usize>> {
        if bytes > 0 {
            self.observer.written();
        }
        Poll::Ready(Ok(bytes))
    }
}

// Nothing in it is pinned: the socket is used through `Pin::new`.
impl<O: Observer> Unpin for Observed<O> {}

impl<O: Observer> AsyncRead for Observed<O> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream()?.poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.observer.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<O: Observer> AsyncWrite for Observed<O> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream()?.poll_write(context, bytes))?;
        self.note_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total > JOINED_BYTES_MAX {
            let written = ready!(self.stream()?.poll_write_vectored(context, slices))?;
            return self.note_written(written);
        }
        // To copy a head and a small body costs less than to have the system gather them.
        if let [only] = slices {
            return self.poll_write(context, only);
        }
        let mut joined = [0; JOINED_BYTES_MAX];
        let mut room = joined.as_mut_slice();
        for slice in slices {
            room.write_all(slice)?;
        }
        let left = room.len();
        self.poll_write(context, joined.get(..JOINED_BYTES_MAX - left).unwrap_or_default())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

impl<O: Observer> Drop for Observed<O> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.observer.closed(stream);
        }
    }
}
