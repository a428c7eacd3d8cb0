//! Who settles payments: whether a payment is good, and what became of its settlement.
//!
//! Order: the first facilitator that says it settles such payments is asked, and the next where that cannot be. A
//! payment is settled by whoever found it good, and by nobody else after that: two that settle one payment would
//! each tell what the other did for a failure.

mod inquiry;
mod judge;
mod supported;

use std::{sync::Arc, time::Duration};

use http::{
    Request, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::time::{sleep, timeout};

pub(crate) use self::{
    inquiry::{Inquiry, Tried, Unsaid},
    supported::Kind,
};
use self::{judge::Judged, supported::Supported};
use super::{Service, Terms};
use crate::outgoing::{
    self, Answer, Client, Fault, Kept, Repeat, Resolver, Roots, RootsError, Target, Timing,
};

/// How long it may take to reach one.
const OPEN: Duration = Duration::from_secs(5);

/// How long one may take to verify.
const VERIFY: Duration = Duration::from_secs(10);

/// How long all of them may take to verify.
const VERIFY_ALL: Duration = Duration::from_secs(25);

/// How long it may take to settle, which waits for a chain.
pub(crate) const SETTLE: Duration = Duration::from_secs(30);

/// How often one is asked that says it is asked too much, and how long it is waited for before that.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(3);

/// What a payment is that is asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    /// Who found it good, once somebody did.
    pub(crate) by: Option<String>,
    /// The document that is sent.
    pub(crate) order: String,
    /// Who pays.
    pub(crate) payer: String,
    /// Where.
    pub(crate) network: String,
    /// How much.
    pub(crate) amount: String,
}

/// What came of asking whether a payment is good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verified {
    /// It is not.
    Invalid {
        /// Why.
        reason: String,
    },
    /// Nobody told.
    Unavailable,
    /// It is.
    Valid {
        /// Who says so.
        by: String,
    },
}

/// What came of asking to settle one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Settled {
    /// Nothing moved, and by this call nothing will.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nothing was sent.
    NotAsked,
    /// The money moved.
    Success {
        /// The transaction.
        transaction: String,
    },
    /// Whether it moved is not known.
    Unknown {
        /// What is known of it.
        reason: String,
        /// The transaction, if one is told.
        transaction: Option<String>,
    },
}

/// Asks facilitators.
pub(crate) struct Facilitator {
    asking: Asking,
    settling: Client,
    supported: Supported,
}

/// Asks for what may be asked again.
struct Asking {
    client: Client,
    kept: Kept,
}

impl Facilitator {
    /// Makes it. The roots are read once, now.
    pub(crate) fn new(resolver: &Arc<dyn Resolver>, roots: &Roots) -> Result<Self, RootsError> {
        let client = |whole| {
            let timing = Timing { open: OPEN, whole };
            Client::new(Arc::clone(resolver), roots.clone(), timing)
        };
        Ok(Self {
            asking: Asking { client: client(VERIFY)?, kept: Kept::default() },
            settling: client(SETTLE)?,
            supported: Supported::default(),
        })
    }

    /// Asks whether a payment is good.
    pub(crate) async fn verify(&self, terms: &Terms, asked: &Asked) -> Verified {
        let verified = timeout(VERIFY_ALL, self.verify_by_any(terms, asked)).await;
        verified.unwrap_or(Verified::Unavailable)
    }

    async fn verify_by_any(&self, terms: &Terms, asked: &Asked) -> Verified {
        for service in &terms.facilitators {
            // Where there is one, there is nothing to choose.
            let is_only = terms.facilitators.len() == 1;
            if !is_only && !self.supported.has(&self.asking, service, asked).await {
                continue;
            }
            match self.verify_by(service, asked).await {
                Judged::Invalid { reason } => return Verified::Invalid { reason },
                Judged::Nothing => {}
                Judged::Valid => return Verified::Valid { by: service.name.clone() },
            }
        }
        Verified::Unavailable
    }

    async fn verify_by(&self, service: &Service, asked: &Asked) -> Judged {
        let sent = match request(&service.verify, asked) {
            Ok(request) => self.asking.ask(&service.verify, request).await,
            Err(fault) => Err(fault),
        };
        match sent {
            Ok(answer) => judge::verified(answer.status, &answer.body, asked),
            Err(fault) => {
                let facilitator = service.origin();
                tracing::warn!(%fault, facilitator, "the facilitator cannot be asked to verify");
                Judged::Nothing
            }
        }
    }

    /// Asks to settle one whoever found it good. One that is not configured any more is not asked: the first is, since
    /// an order can be carried out once, whoever does.
    pub(crate) async fn settle(&self, terms: &Terms, asked: &Asked) -> Settled {
        let services = &terms.facilitators;
        let same = services.iter().find(|service| Some(&service.name) == asked.by.as_ref());
        let Some(service) = same.or(services.first()) else { return Settled::NotAsked };
        let facilitator = service.origin();
        let sent = match request(&service.settle, asked) {
            Ok(request) => {
                let kept = &self.asking.kept;
                self.settling.send_kept(kept, Repeat::Never, &service.settle, request).await
            }
            Err(fault) => Err(fault),
        };
        match sent {
            Ok(answer) => judge::settled(answer.status, &answer.body, asked),
            Err(fault) if fault.is_unsent() => {
                tracing::warn!(%fault, facilitator, "the facilitator cannot be asked to settle");
                Settled::NotAsked
            }
            Err(fault) => {
                tracing::warn!(%fault, facilitator, "what became of a settlement is not known");
                judge::unknown("no answer")
            }
        }
    }
}

impl Asking {
    /// Sends a request that may be sent again. Who says that it is asked too much is asked again in a moment, if that is
    /// not longer than a caller can be kept waiting.
    async fn ask(&self, target: &Target, request: Request<Full<Bytes>>) -> Result<Answer, Fault> {
        let mut tries = 0;
        loop {
            let request = request.clone();
            let sent = self.client.send_kept(&self.kept, Repeat::Freely, target, request).await?;
            tries += 1;
            match wait(&sent) {
                Some(wait) if tries < TRIES => sleep(wait).await,
                _ => return Ok(sent),
            }
        }
    }
}

/// Gives how long to wait before asking again. Who gives a date has no such moment in mind.
fn wait(answer: &Answer) -> Option<Duration> {
    if answer.status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let Some(told) = answer.headers.get(RETRY_AFTER) else { return Some(WAIT) };
    let seconds = Duration::from_secs(told.to_str().ok()?.trim().parse().ok()?);
    (seconds <= WAIT_MAX).then_some(seconds)
}

fn request(target: &Target, asked: &Asked) -> Result<Request<Full<Bytes>>, Fault> {
    let request = outgoing::request(target).header(CONTENT_TYPE, "application/json");
    Ok(request.body(Full::from(asked.order.clone()))?)
}
