//! A client that keeps to HTTP/2, on a thread of its own.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, Response as Answer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Handle,
    sync::oneshot,
    time::timeout,
};

use crate::support::{DEADLINE, Gateway, Response, client::Head, wait_for};

/// A connection of a client. It is closed when this is dropped.
pub(crate) struct Caller {
    sender: SendRequest<Bytes>,
    handle: Handle,
    driver: tokio::task::AbortHandle,
    ended: mpsc::Receiver<Result<(), h2::Error>>,
    _thread: oneshot::Sender<()>,
}

/// A request that was begun.
pub(crate) struct Call {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Caller {
    /// Opens a connection in clear, by prior knowledge.
    pub(crate) fn open(gateway: &Gateway) -> Self {
        Self::open_with(gateway.running().address(), &Builder::new())
    }

    /// Opens one with settings.
    pub(crate) fn open_with(address: SocketAddr, settings: &Builder) -> Self {
        let (handle, thread) = runtime();
        let stream = run(&handle, connect(address)).unwrap();
        Self::over(handle, thread, stream, settings)
    }

    /// Opens one within TLS, where the two agree on HTTP/2.
    pub(crate) fn secured(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> Self {
        Self::secured_at(gateway.running().address(), config, name)
    }

    /// Opens one within TLS at an address.
    pub(crate) fn secured_at(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        let (handle, thread) = runtime();
        let name = name.to_owned();
        let mut config = ClientConfig::clone(config);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = run(&handle, async move {
            let stream = connect(address).await?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            connector.connect(ServerName::try_from(name).unwrap(), stream).await
        });
        let stream: io::Result<tokio_rustls::client::TlsStream<TcpStream>> = stream;
        let stream = stream.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(handle, thread, stream, &Builder::new())
    }

    fn over(
        handle: Handle,
        thread: oneshot::Sender<()>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        settings: &Builder,
    ) -> Self {
        let shaking = settings.handshake(stream);
        let (sender, connection) = run(&handle, async move { shaking.await.unwrap() });
        let (tell, ended) = mpsc::channel();
        let driving = async move {
            let _ = tell.send(connection.await);
        };
        let driver = handle.spawn(driving).abort_handle();
        Self { sender, handle, driver, ended, _thread: thread }
    }

    /// Sends a whole request and reads the answer.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut call = self.begin(method, path, fields, body.is_empty());
        if !body.is_empty() {
            call.body.send_data(Bytes::copy_from_slice(body), true).unwrap();
        }
        self.response(call).unwrap()
    }

    /// Sends a GET with a key and reads the answer.
    pub(crate) fn get(&self, path: &str, key: &str) -> Response {
        self.request("GET", path, &[("x-api-key", key)], b"")
    }

    /// Begins a request with a key. Without a body it is whole.
    pub(crate) fn begin(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        is_whole: bool,
    ) -> Call {
        self.try_begin(method, path, fields, is_whole).unwrap()
    }

    /// Begins an extended CONNECT (RFC 8441 section 4).
    pub(crate) fn connect(&self, protocol: &str, path: &str, fields: &[(&str, &str)]) -> Call {
        let mut request = Request::connect(format!("http://a.test{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.extension(h2::ext::Protocol::from(protocol)).body(()).unwrap();
        let sender = self.sender.clone();
        self.run(async move {
            while !sender.is_extended_connect_protocol_enabled() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            let (answer, body) =
                sender.ready().await.unwrap().send_request(request, false).unwrap();
            Call { answer, body }
        })
    }

    /// Begins one, or tells why none can be begun.
    pub(crate) fn try_begin(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        is_whole: bool,
    ) -> Result<Call, h2::Error> {
        let target = if path == "*" { path.to_owned() } else { format!("http://a.test{path}") };
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (request, sender) = (request.body(()).unwrap(), self.sender.clone());
        self.run(async move {
            let (answer, body) = sender.ready().await?.send_request(request, is_whole)?;
            Ok(Call { answer, body })
        })
    }

    /// Reads an answer's head, and gives what brings its body.
    pub(crate) fn head(&self, call: Call) -> Result<(Head, RecvStream), h2::Error> {
        let (_upload, answer) = call.split();
        self.head_of(answer)
    }

    /// Reads one that is awaited.
    pub(crate) fn head_of(&self, answer: ResponseFuture) -> Result<(Head, RecvStream), h2::Error> {
        self.run(async move {
            let answer = answer.await?;
            Ok((head_of(&answer), answer.into_body()))
        })
    }

    /// Reads a whole answer.
    pub(crate) fn response(&self, call: Call) -> Result<Response, h2::Error> {
        self.response_or_reset(call).map(|(response, _)| response)
    }

    /// Reads an answer, and why its body broke, if it did.
    pub(crate) fn response_or_reset(
        &self,
        call: Call,
    ) -> Result<(Response, Option<h2::Reason>), h2::Error> {
        // What is left of the upload goes on while the answer is read.
        let Call { answer, body } = call;
        let read = self.run(async move {
            let answer = answer.await?;
            let head = head_of(&answer);
            let (bytes, trailers, broken) = read(answer.into_body()).await;
            let trailers = pairs(&trailers);
            let whole = broken.is_none();
            Ok((Response { head, body: bytes, trailers, whole }, broken))
        });
        drop(body);
        read
    }

    /// Reads the rest of a body.
    pub(crate) fn rest(&self, body: RecvStream) -> (Vec<u8>, Option<h2::Reason>) {
        let (bytes, _, broken) = self.run(read(body));
        (bytes, broken)
    }

    /// Reads some of a body; `None` at its end.
    pub(crate) fn some(&self, mut body: RecvStream) -> (Option<Bytes>, RecvStream) {
        self.run(async move {
            let data = body.data().await.map(Result::unwrap);
            if let Some(data) = &data {
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            (data, body)
        })
    }

    /// Reads an answer that goes ahead of the last one.
    pub(crate) fn interim(&self, call: Call) -> (Head, Call) {
        let Call { mut answer, body } = call;
        let (head, answer) = self.run(async move {
            let found = std::future::poll_fn(|context| answer.poll_informational(context)).await;
            (head_of(&found.expect("an answer ahead").unwrap()), answer)
        });
        (head, Call { answer, body })
    }

    /// Waits for the end of the connection.
    pub(crate) fn wait_ended(&self) -> Result<(), h2::Error> {
        self.ended.recv_timeout(DEADLINE).expect("the connection does not end")
    }

    /// Tells whether the gateway has said that it takes no more requests.
    pub(crate) fn wait_going_away(&self) {
        wait_for("a GOAWAY", || {
            let sender = self.sender.clone();
            self.run(async move { sender.ready().await.is_err() }).then_some(())
        });
    }

    /// Breaks the connection off.
    pub(crate) fn close(self) {
        self.driver.abort();
    }

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        run(&self.handle, future)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What is left of a request's body.
pub(crate) struct Upload(SendStream<Bytes>);

impl Upload {
    /// Resets the stream.
    pub(crate) fn reset(mut self) {
        self.0.send_reset(h2::Reason::CANCEL);
    }

    /// Sends some of it.
    pub(crate) fn send(&mut self, bytes: impl Into<Bytes>, is_last: bool) {
        self.0.send_data(bytes.into(), is_last).unwrap();
    }
}

impl Call {
    /// Gives the upload apart from what is awaited.
    pub(crate) fn split(self) -> (Upload, ResponseFuture) {
        (Upload(self.body), self.answer)
    }

    /// Sends some of the body.
    pub(crate) fn send(&mut self, bytes: impl Into<Bytes>, is_last: bool) {
        self.body.send_data(bytes.into(), is_last).unwrap();
    }

    /// Ends the body with fields.
    pub(crate) fn send_trailers(&mut self, fields: HeaderMap) {
        self.body.send_trailers(fields).unwrap();
    }

    /// Resets the stream.
    pub(crate) fn reset(mut self) {
        self.body.send_reset(h2::Reason::CANCEL);
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Otherwise the rest of each window waits for what acknowledges its beginning.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn runtime() -> (Handle, oneshot::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let (alive, gone) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tell.send(runtime.handle().clone()).unwrap();
        // Until the caller is dropped.
        let _ = runtime.block_on(gone);
    });
    (told.recv().unwrap(), alive)
}

fn run<T: Send + 'static>(handle: &Handle, future: impl Future<Output = T> + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    handle.spawn(async move {
        let _ = tell.send(timeout(DEADLINE * 2, future).await);
    });
    told.recv().expect("the connection is there").expect("it is done in time")
}

async fn read(mut body: RecvStream) -> (Vec<u8>, HeaderMap, Option<h2::Reason>) {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                let _ = body.flow_control().release_capacity(data.len());
                bytes.extend_from_slice(&data);
            }
            Err(error) => {
                let reason = error.reason().unwrap_or(h2::Reason::CONNECT_ERROR);
                return (bytes, HeaderMap::new(), Some(reason));
            }
        }
    }
    match body.trailers().await {
        Ok(trailers) => (bytes, trailers.unwrap_or_default(), None),
        Err(error) => (bytes, HeaderMap::new(), error.reason()),
    }
}

fn head_of<B>(answer: &Answer<B>) -> Head {
    let (status, fields) = (answer.status().as_u16(), pairs(answer.headers()));
    Head { version: format!("{:?}", answer.version()), status, fields }
}

fn pairs(fields: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    fields.iter().map(pair).collect()
}

/// Gives the fields that a caller with a key sends.
pub(crate) fn keyed() -> [(&'static str, &'static str); 1] {
    [("x-api-key", crate::support::KEY)]
}
