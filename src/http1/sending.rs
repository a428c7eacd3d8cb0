//! A message on its way out: its head, then its body as it comes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};

use super::socket::Socket;

/// Up to so many bytes wait to be sent in one piece; what is larger is sent as it is.
pub(crate) const JOINED_BYTES_MAX: usize = 16 * 1024;

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Sending<B, E> {
    body: B,
    end: End,
    /// What goes first, and how much of it has gone.
    joined: Vec<u8>,
    gone: usize,
    /// What goes next, a piece of the body, and what follows it.
    piece: Bytes,
    behind: &'static [u8],
    is_over: bool,
    /// How many bytes have gone in all.
    sent: u64,
    /// Why it breaks off, which is told when what came before has gone.
    failed: Option<SendError<E>>,
    /// What has gone is kept, since it is all there is and may go again.
    is_kept: bool,
}

/// How the end of a body is told, which its head has said.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// There is no body, whatever comes.
    None,
    /// So many bytes are to come.
    Length(u64),
    /// By its coding.
    Chunked {
        /// The fields behind it go too.
        trailers: bool,
    },
    /// By the end of the connection.
    Close,
}

/// Why a message cannot be sent.
#[derive(Debug)]
pub(crate) enum SendError<E> {
    /// The connection broke.
    Io(io::Error),
    /// Its body broke.
    Body(E),
    /// Its body is longer or shorter than its head says.
    IllSized,
}

impl<B> Sending<B, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Begins with a whole head.
    pub(crate) fn new(head: Vec<u8>, end: End, body: B) -> Self {
        let is_over = match &end {
            End::None => true,
            End::Length(length) => *length == 0 && body.is_end_stream(),
            // The last chunk is written where the body ends.
            End::Chunked { .. } => false,
            End::Close => body.is_end_stream(),
        };
        let (piece, behind) = (Bytes::new(), b"".as_slice());
        Self {
            body,
            end,
            joined: head,
            gone: 0,
            piece,
            behind,
            is_over,
            sent: 0,
            failed: None,
            is_kept: false,
        }
    }

    /// Keeps what is sent, so that it can be sent again; false where a body follows it, which cannot.
    pub(crate) fn keep(&mut self) -> bool {
        self.is_kept = self.is_over;
        self.is_kept
    }

    /// Begins anew, with all that was kept.
    pub(crate) fn rewind(&mut self) {
        debug_assert!(self.is_kept, "what was sent is gone");
        (self.gone, self.sent) = (0, 0);
    }

    /// Gives the body.
    pub(crate) fn body(&self) -> &B {
        &self.body
    }

    /// Gives the body to be changed.
    pub(crate) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Gives what goes first.
    pub(crate) fn head(&self) -> &[u8] {
        &self.joined
    }

    /// Gives what goes first, of which nothing has gone.
    pub(crate) fn head_mut(&mut self) -> &mut Vec<u8> {
        debug_assert_eq!(self.sent, 0, "it is too late to change the head");
        &mut self.joined
    }

    /// Gives up and gives the body.
    pub(crate) fn into_body(self) -> B {
        self.body
    }

    /// Tells whether its end is that of the connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.end, End::Close)
    }

    /// Gives how many bytes have gone.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends what there is, until all is sent.
    pub(crate) fn poll_send(
        &mut self,
        socket: &Socket,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<B::Error>>> {
        loop {
            let mut waits = false;
            while !self.is_over && self.failed.is_none() && self.has_room() {
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Ready(frame) => self.failed = self.take(frame).err(),
                    Poll::Pending => {
                        waits = true;
                        break;
                    }
                }
            }
            while self.is_pending() {
                ready!(self.poll_write(socket, context)).map_err(SendError::Io)?;
            }
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(error));
            }
            if self.is_over {
                return socket.poll_flush(context).map_err(SendError::Io);
            }
            if waits {
                // Whoever sends more is woken for that; what cannot go now goes when there is room.
                let _flushing = socket.poll_flush(context).map_err(SendError::Io)?;
                return Poll::Pending;
            }
        }
    }

    /// Tells whether there is something to send that has not gone.
    pub(crate) fn is_pending(&self) -> bool {
        self.gone < self.joined.len() || !self.piece.is_empty() || !self.behind.is_empty()
    }

    fn has_room(&self) -> bool {
        self.piece.is_empty() && self.behind.is_empty() && self.joined.len() < JOINED_BYTES_MAX
    }

    fn poll_write(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let joined = self.joined.get(self.gone..).unwrap_or_default();
        let all = [joined, &self.piece, self.behind].map(IoSlice::new);
        // One slice is written by a cheaper call.
        let slices = if self.piece.is_empty() && self.behind.is_empty() {
            all.get(..1).unwrap_or_default()
        } else {
            &all
        };
        let mut count = ready!(socket.poll_write(context, slices))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.sent = self.sent.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let of_joined = count.min(joined.len());
        self.gone = self.gone.saturating_add(of_joined);
        count = count.saturating_sub(of_joined);
        let of_piece = count.min(self.piece.len());
        self.piece.advance(of_piece);
        count = count.saturating_sub(of_piece);
        self.behind = self.behind.get(count..).unwrap_or_default();
        if self.gone == self.joined.len() && !self.is_kept {
            self.joined.clear();
            self.gone = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next frame of the body, or its end.
    fn take(
        &mut self,
        frame: Option<Result<Frame<Bytes>, B::Error>>,
    ) -> Result<(), SendError<B::Error>> {
        let Some(frame) = frame.transpose().map_err(SendError::Body)? else {
            return self.finish(None);
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.finish(frame.into_trailers().ok().as_ref()),
        };
        match &mut self.end {
            End::None => {}
            End::Length(left) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                *left = left.checked_sub(length).ok_or(SendError::IllSized)?;
                self.push(data, b"");
            }
            // A chunk of no bytes would be the last one.
            End::Chunked { .. } if data.is_empty() => {}
            End::Chunked { .. } => {
                self.joined.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.push(data, b"\r\n");
            }
            End::Close => self.push(data, b""),
        }
        match self.end {
            // Who reads its frames decides what ends it.
            End::Chunked { .. } => Ok(()),
            _ if self.body.is_end_stream() => self.finish(None),
            _ => Ok(()),
        }
    }

    fn push(&mut self, data: Bytes, behind: &'static [u8]) {
        if self.joined.len().saturating_add(data.len()) <= JOINED_BYTES_MAX {
            self.joined.extend_from_slice(&data);
            self.joined.extend_from_slice(behind);
        } else {
            self.piece = data;
            self.behind = behind;
        }
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), SendError<B::Error>> {
        self.is_over = true;
        match &self.end {
            End::None | End::Length(0) | End::Close => {}
            End::Length(_) => return Err(SendError::IllSized),
            End::Chunked { trailers: is_taken } => {
                // There is room: nothing is taken before what came last has gone.
                self.joined.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.filter(|_| *is_taken).into_iter().flatten() {
                    push_field(&mut self.joined, name.as_str(), value.as_bytes());
                }
                self.joined.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}

/// Writes a field.
pub(crate) fn push_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Each by itself: what is known beforehand is written without a call.
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible, future::poll_fn};

    use bytes::BytesMut;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::http1::{Framing, Step};

    /// A body of frames that are all there.
    #[derive(Debug)]
    struct Frames(VecDeque<Frame<Bytes>>);

    impl Frames {
        fn new(pieces: &[Vec<u8>]) -> Self {
            Self(pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece))).collect())
        }
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    /// Sends a body with the head `head`; gives how that ended and what arrived.
    async fn arrived(end: End, body: Frames) -> (Result<(), SendError<Infallible>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (received, _) = listener.accept().await.unwrap();
        let (socket, receiver) = (Socket::new(stream), Socket::new(received));
        let sending = async {
            let mut sending = Sending::new(b"head".to_vec(), end, body);
            let sent = poll_fn(|context| sending.poll_send(&socket, context)).await;
            socket.shut_down(std::net::Shutdown::Write);
            sent
        };
        let receiving = async {
            let mut buffer = BytesMut::new();
            while poll_fn(|context| receiver.poll_read(context, &mut buffer, 1)).await.unwrap() > 0
            {
            }
            buffer.strip_prefix(b"head").unwrap().to_vec()
        };
        tokio::join!(sending, receiving)
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(future)
    }

    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let sizes = prop_oneof![0..20_usize, 16_000..17_000_usize, 100_000..400_000_usize];
        prop::collection::vec(sizes.prop_map(|size| vec![b'x'; size]), 0..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn body_arrives_whole_however_it_is_framed(pieces in pieces()) {
            let whole = pieces.concat();
            let length = u64::try_from(whole.len()).unwrap();
            let (sent, bytes) = run(arrived(End::Length(length), Frames::new(&pieces)));
            prop_assert!(sent.is_ok() && bytes == whole);
            let (sent, bytes) = run(arrived(End::Close, Frames::new(&pieces)));
            prop_assert!(sent.is_ok() && bytes == whole);
            let (sent, bytes) = run(arrived(End::None, Frames::new(&pieces)));
            prop_assert!(sent.is_ok() && bytes.is_empty());
            let (sent, bytes) = run(arrived(End::Chunked { trailers: false }, Frames::new(&pieces)));
            let (mut buffer, mut body) = (BytesMut::from(&bytes[..]), Vec::new());
            let mut framing = Framing::Chunked(crate::http1::Decoder::BEGIN);
            while let Step::Data(data) = framing.step(&mut buffer).unwrap() {
                body.extend(data);
            }
            prop_assert!(sent.is_ok() && body == whole && buffer.is_empty() && framing.is_over());
        }

        /// A body that is longer or shorter than its head said is broken off, and nothing of it lies
        /// beyond what was said.
        #[test]
        fn ill_sized_bodies_are_broken_off(pieces in pieces(), length in 0..500_000_u64) {
            let whole: usize = pieces.iter().map(Vec::len).sum();
            prop_assume!(u64::try_from(whole).unwrap() != length);
            let (sent, bytes) = run(arrived(End::Length(length), Frames::new(&pieces)));
            prop_assert!(matches!(sent, Err(SendError::IllSized)));
            prop_assert!(u64::try_from(bytes.len()).unwrap() <= length);
        }
    }

    #[test]
    fn what_is_kept_can_go_again() {
        run(async {
            let (one, other) = tokio::net::UnixStream::pair().unwrap();
            let (socket, receiver) = (Socket::new(one), Socket::new(other));
            let mut sending = Sending::new(b"head".to_vec(), End::None, Frames::new(&[]));
            assert!(sending.keep());
            for _ in 0..3 {
                poll_fn(|context| sending.poll_send(&socket, context)).await.unwrap();
                assert_eq!(sending.sent(), 4);
                sending.rewind();
            }
            socket.shut_down(std::net::Shutdown::Write);
            let mut buffer = BytesMut::new();
            while poll_fn(|context| receiver.poll_read(context, &mut buffer, 1)).await.unwrap() > 0
            {
            }
            assert_eq!(buffer, "headheadhead");
        });
        let mut with_body = Sending::new(Vec::new(), End::Length(1), Frames::new(&[vec![b'x']]));
        assert!(!with_body.keep());
    }

    #[test]
    fn trailers_follow_the_last_chunk() {
        let mut fields = HeaderMap::new();
        fields.insert(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"));
        let body = || Frames([Frame::data("ab".into()), Frame::trailers(fields.clone())].into());
        let (_, bytes) = run(arrived(End::Chunked { trailers: false }, body()));
        assert_eq!(bytes, b"2\r\nab\r\n0\r\n\r\n");
        let (_, bytes) = run(arrived(End::Chunked { trailers: true }, body()));
        assert_eq!(bytes, b"2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n");
        let (_, bytes) = run(arrived(End::Length(2), body()));
        assert_eq!(bytes, b"ab");
    }
}
