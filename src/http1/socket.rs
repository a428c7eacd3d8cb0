//! A socket, in clear or within TLS: one reads from it, and another may write to it meanwhile.

use std::{
    cell::RefCell,
    future::Future,
    io,
    net::Shutdown,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::BytesMut;
use rustls::ConnectionCommon;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsStream;

/// The most that is read by way of the worker's scratch.
const SCRATCH_BYTES: usize = 8 * 1024;

thread_local! {
    /// What most reads go through: it stays in the processor's nearest memory, and a connection keeps
    /// what came and no more.
    static SCRATCH: RefCell<[u8; SCRATCH_BYTES]> = const { RefCell::new([0; SCRATCH_BYTES]) };
}

/// A socket. Who reads and who writes are woken apart.
#[derive(Debug)]
pub(crate) struct Socket(RefCell<Stream>);

/// What the bytes of a socket pass through.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// Far larger, and apart so that a connection in clear does not take its room.
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn new(stream: impl Into<Stream>) -> Self {
        Self(RefCell::new(stream.into()))
    }

    /// Wraps one whose handshake is done.
    pub(crate) fn secured(stream: impl Into<TlsStream<TcpStream>>) -> Self {
        Self(RefCell::new(Stream::Tls(Box::new(stream.into()))))
    }

    /// Gives what its bytes pass through.
    pub(crate) fn into_stream(self) -> Stream {
        self.0.into_inner()
    }

    /// Gives the connection, if it is one by TCP in clear.
    pub(crate) fn into_tcp(self) -> Option<TcpStream> {
        match self.0.into_inner() {
            Stream::Tcp(stream) => Some(stream),
            Stream::Tls(_) | Stream::Unix(_) => None,
        }
    }

    /// Reads what there is, up to about so many bytes, into the end of a buffer. 0 is the end.
    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        wanted: usize,
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.0.borrow_mut();
        if wanted > SCRATCH_BYTES {
            if stream.poll_anything(context)?.is_pending() {
                // Who waits for something holds no room for it.
                if buffer.is_empty() && buffer.capacity() > SCRATCH_BYTES {
                    *buffer = BytesMut::new();
                }
                return Poll::Pending;
            }
            buffer.reserve(wanted);
            return pin!(stream.read_buf(buffer)).poll(context);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
            buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }

    /// Reads what there is into a buffer of the caller's.
    pub(crate) fn poll_read_into(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(context, buffer)
    }

    /// Writes some of the slices.
    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.0.borrow_mut();
        let stream = Pin::new(&mut *stream);
        match slices {
            [only] => stream.poll_write(context, only),
            _ => stream.poll_write_vectored(context, slices),
        }
    }

    /// Sends what was taken and not sent: TLS keeps records that the system had no room for. To be called
    /// whenever nothing follows for now.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(context)
    }

    /// Has the connection broken off when it is dropped, and with it what the system holds to be sent.
    pub(crate) fn reset_when_dropped(&self) {
        // Otherwise it ends as others do.
        let _ = self.0.borrow().system().set_linger(Some(Duration::ZERO));
    }

    /// Ends one direction or both, and with them whoever reads.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        let mut stream = self.0.borrow_mut();
        if let Stream::Tls(stream) = &mut *stream
            && how != Shutdown::Read
        {
            // The other side is told that nothing was cut off (RFC 8446 section 6.1). Nobody waits for
            // that: who takes nothing any more is not told.
            let mut quiet = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut **stream).poll_shutdown(&mut quiet);
        }
        // It may be over already.
        let _ = stream.system().shutdown(how);
    }
}

impl Stream {
    fn system(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Tls(stream) => SockRef::from(stream.get_ref().0),
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    /// Tells whether there is surely nothing to read. Of TLS some may be there that the system knows nothing
    /// of.
    fn poll_anything(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Tls(_) => Poll::Ready(Ok(())),
            Self::Unix(stream) => stream.poll_read_ready(context),
        }
    }
}

/// Sends what TLS has to say to what was read, such as that there is no second handshake: its other side
/// waits for that, and we may have nothing to write. What the system has no room for goes with what is
/// written next. Nobody is woken for it, since a waker would take the place of the writer's.
fn answer_of_itself(stream: &mut TlsStream<TcpStream>) {
    match stream {
        TlsStream::Client(stream) => {
            let (system, session) = stream.get_mut();
            send_at_once(system, &mut **session);
        }
        TlsStream::Server(stream) => {
            let (system, session) = stream.get_mut();
            send_at_once(system, &mut **session);
        }
    }
}

fn send_at_once<Side>(system: &TcpStream, session: &mut ConnectionCommon<Side>) {
    while session.wants_write() {
        if !matches!(session.write_tls(&mut AtOnce(system)), Ok(1..)) {
            return;
        }
    }
}

/// Writes what there is room for now.
struct AtOnce<'a>(&'a TcpStream);

impl io::Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => {
                let read = Pin::new(&mut **stream).poll_read(context, buffer);
                answer_of_itself(stream);
                read
            }
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
