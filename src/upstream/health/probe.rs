//! One check: a GET of which only the status counts, or a call of gRPC; on a connection of its own.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, header, uri::Scheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::grpc;
use crate::{
    http1::{Malformed, Stream, push_field},
    model::{Endpoint, Health, HttpVersion, Question},
    upstream::{
        connection::dial,
        http1::{ExchangeError, parse},
        http2,
        tls::{InWords, Tls},
    },
};

/// How an endpoint is spoken to.
#[derive(Debug)]
pub(super) struct Speech {
    /// `None` in clear.
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) version: HttpVersion,
}

impl Speech {
    fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }
}

/// Why an endpoint did not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it closed the connection before it had answered")]
    Early,
    #[error("{}", InWords(.0))]
    Io(#[from] io::Error),
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    #[error("its answer cannot be understood: {0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Http2(ExchangeError),
    #[error("it answered with the status {0}")]
    Status(u16),
    #[error("{0}")]
    Call(#[from] grpc::Failure),
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Early => Self::Early,
            ExchangeError::Io(error) => Self::Io(error),
            ExchangeError::Malformed(malformed) => Self::Malformed(malformed),
            error => Self::Http2(error),
        }
    }
}

/// Writes the request, which is the same each time.
pub(super) fn request(
    endpoint: &Endpoint,
    health: &Health,
    set_headers: &[(HeaderName, HeaderValue)],
) -> Vec<u8> {
    let mut request = Vec::new();
    let is_call = matches!(health.question, Question::Grpc { .. });
    match &health.question {
        Question::Get { path, .. } => {
            request.extend_from_slice(format!("GET {path} HTTP/1.1\r\n").as_bytes());
        }
        Question::Grpc { .. } => request.extend_from_slice(grpc::HEAD.as_bytes()),
    }
    let own = [
        (header::HOST, endpoint.authority.clone()),
        (header::USER_AGENT, HeaderValue::from_static("faregate-health")),
    ];
    let is_set = |name: &HeaderName| set_headers.iter().any(|(set, _)| set == name);
    let own = own.iter().filter(|(name, _)| !is_set(name));
    // What a call is of is no choice.
    let set = set_headers.iter().filter(|(name, _)| !is_call || *name != header::CONTENT_TYPE);
    for (name, value) in own.chain(set) {
        push_field(&mut request, name.as_str(), value.as_bytes());
    }
    request.extend_from_slice(b"connection: close\r\n\r\n");
    request
}

/// Asks once.
pub(super) async fn ask(
    endpoint: &Endpoint,
    speech: &Speech,
    health: &Health,
    request: &[u8],
) -> Result<(), Failure> {
    let asking = async {
        let mut stream = dial(&endpoint.address).await?;
        if let Some(tls) = &speech.tls {
            (stream, _) = tls.connect(stream, &endpoint.address).await?;
        }
        match &health.question {
            Question::Get { path: _, status: passes } => {
                let status = status(stream, speech, request).await?;
                if passes.contains(&status) { Ok(()) } else { Err(Failure::Status(status)) }
            }
            Question::Grpc { service } => {
                let message = grpc::question(service);
                let answer = http2::whole(stream, request, message, speech.scheme()).await?;
                if answer.status == 200 {
                    Ok(grpc::judge(&answer)?)
                } else {
                    Err(Failure::Status(answer.status))
                }
            }
        }
    };
    let answer = tokio::time::timeout(health.timeout, asking).await;
    answer.unwrap_or(Err(Failure::Late(health.timeout)))
}

async fn status(mut stream: Stream, speech: &Speech, request: &[u8]) -> Result<u16, Failure> {
    if speech.version == HttpVersion::Http2 {
        return Ok(http2::status(stream, request, speech.scheme()).await?);
    }
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut buffer = BytesMut::new();
    loop {
        // The head has a bound of its own.
        while let Some(head) = parse(&mut buffer, false)? {
            if !head.status.is_informational() {
                return Ok(head.status.as_u16());
            }
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Failure::Early);
        }
    }
}
