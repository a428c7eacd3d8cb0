//! One request on a connection of its own.

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, Response, uri::Scheme};

use super::{connection::builder, head};
use crate::{
    http1::{Malformed, Stream},
    upstream::http1::ExchangeError,
};

/// How long an answer's body may be that is kept whole.
const BODY_BYTES_MAX: usize = 4096;

/// An answer, whole.
#[derive(Debug)]
pub(in crate::upstream) struct Whole {
    pub(in crate::upstream) status: u16,
    pub(in crate::upstream) fields: HeaderMap,
    pub(in crate::upstream) body: Bytes,
    pub(in crate::upstream) trailers: HeaderMap,
}

/// Sends a request without a body, written as for HTTP/1.1; gives the status that it is answered with.
pub(in crate::upstream) async fn status(
    stream: Stream,
    request: &[u8],
    scheme: Scheme,
) -> Result<u16, ExchangeError> {
    let read = async |answer: Response<RecvStream>| Ok(answer.status().as_u16());
    exchange(stream, request, Bytes::new(), scheme, read).await
}

/// Sends a request with a body; gives the whole answer.
pub(in crate::upstream) async fn whole(
    stream: Stream,
    request: &[u8],
    body: Bytes,
    scheme: Scheme,
) -> Result<Whole, ExchangeError> {
    exchange(stream, request, body, scheme, read_whole).await
}

async fn exchange<T>(
    stream: Stream,
    request: &[u8],
    body: Bytes,
    scheme: Scheme,
    read: impl AsyncFnOnce(Response<RecvStream>) -> Result<T, ExchangeError>,
) -> Result<T, ExchangeError> {
    let request = head::request(request, &scheme)?;
    let (sender, mut connection) = builder().handshake::<_, Bytes>(stream).await?;
    let asking = async move {
        let mut sender = sender.ready().await?;
        let (answer, mut sending) = sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            sending.send_data(body, true)?;
        }
        read(answer.await?).await
    };
    let mut asking = std::pin::pin!(asking);
    let ended = tokio::select! {
        biased;
        answer = &mut asking => return answer,
        ended = &mut connection => ended,
    };
    drop(connection);
    // What came right before its end counts.
    let answer = asking.await;
    answer.map_err(|_| ended.err().map_or(ExchangeError::Early, ExchangeError::from))
}

async fn read_whole(answer: Response<RecvStream>) -> Result<Whole, ExchangeError> {
    let (parts, mut receiving) = answer.into_parts();
    let mut body = BytesMut::new();
    while let Some(data) = receiving.data().await.transpose()? {
        receiving.flow_control().release_capacity(data.len())?;
        if body.len().saturating_add(data.len()) > BODY_BYTES_MAX {
            return Err(Malformed("its body is too long").into());
        }
        body.extend_from_slice(&data);
    }
    let trailers = receiving.trailers().await?.unwrap_or_default();
    let (status, fields) = (parts.status.as_u16(), parts.headers);
    Ok(Whole { status, fields, body: body.freeze(), trailers })
}
