//! One request on a connection of its own, of which only the status counts.

use bytes::Bytes;
use http::uri::Scheme;

use super::{connection::builder, head};
use crate::{http1::Stream, upstream::http1::ExchangeError};

/// Sends a request without a body, written as for HTTP/1.1; gives the status that it is answered with.
pub(in crate::upstream) async fn status(
    stream: Stream,
    request: &[u8],
    scheme: Scheme,
) -> Result<u16, ExchangeError> {
    let request = head::request(request, &scheme)?;
    let (sender, connection) = builder().handshake::<_, Bytes>(stream).await?;
    let asking = async move {
        let (answer, _) = sender.ready().await?.send_request(request, true)?;
        Ok(answer.await?.status().as_u16())
    };
    tokio::select! {
        biased;
        status = asking => status,
        ended = connection => Err(ended.err().map_or(ExchangeError::Early, ExchangeError::from)),
    }
}
