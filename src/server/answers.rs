//! What answers the requests of a connection: the chain, and what stands beside it when a request cannot be
//! read, or a panic ends it.

use std::{future::poll_fn, panic::AssertUnwindSafe, pin::pin, rc::Rc, task::Poll};

use http::request::Parts;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::{Denial, Fault, Refusal, problem},
    chain::{self, arrival::Arrival, reply::Reply},
    server::{
        body::ClientBody,
        http1::{self, Unparsable},
    },
    worker::{Connection, Worker},
};

/// Answers the requests of a connection, or the one of a stream.
pub(super) struct Answers<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) connection: &'a Rc<Connection>,
}

impl http1::Service for Answers<'_> {
    /// Answers one request. A panic of ours is this request's alone: the reservation is settled while the
    /// stack unwinds, and the caller gets a 500.
    async fn answer(&self, head: &mut Parts, body: ClientBody) -> Reply {
        let arrival = Arrival::now(self.worker);
        let request_id = arrival.request_id;
        let answered = {
            let serving = chain::serve(self.worker, self.connection, head, body, arrival);
            let mut serving = pin!(serving);
            poll_fn(|context| {
                // Nothing that a panic leaves half done is looked at again: the request's state is
                // dropped.
                let polled = AssertUnwindSafe(|| serving.as_mut().poll(context));
                match std::panic::catch_unwind(polled) {
                    Ok(polled) => polled.map(Some),
                    Err(_) => Poll::Ready(None),
                }
            })
            .await
        };
        answered.unwrap_or_else(|| {
            let mut reply = self.refuse_outright(&Fault::Internal.into(), request_id);
            if let Some(policy) = &self.worker.snapshot().snapshot().cors {
                policy.tell(&head.headers, &mut reply.fields);
            }
            reply
        })
    }

    fn refuse(&self, reason: Unparsable) -> Reply {
        let max = self.worker.gateway().snapshot().server.limits.header_bytes;
        let denial = match reason {
            Unparsable::Malformed(reason) => Denial::InvalidRequest(reason),
            Unparsable::TooLarge => Denial::HeadersTooLarge { max },
        };
        let (arrival, code) = (Arrival::now(self.worker), denial.code());
        let reply = self.refuse_outright(&denial.into(), arrival.request_id);
        chain::keep_unread(self.worker, &arrival, code, reply.status);
        reply
    }

    fn now(&self) -> Timestamp {
        self.worker.gateway().clock().now()
    }
}

impl Answers<'_> {
    /// Answers where nothing is known of the request, and closes.
    fn refuse_outright(&self, refusal: &Refusal, request_id: Uuid) -> Reply {
        let snapshot = self.worker.gateway().snapshot();
        let public_url = snapshot.server.public_url.as_deref();
        let problem = problem::answer(
            refusal,
            &problem::Context {
                paying: problem::Paying::default(),
                request_id,
                outward_id: None,
                now: self.worker.gateway().clock().now(),
                base_url: public_url.map_or(problem::BaseUrl::Unknown, problem::BaseUrl::Public),
                prefix: &snapshot.server.reserved_prefix,
                realm: &snapshot.realm,
                plan: None,
                upgrade_url: None,
                status_by_code: &snapshot.status_by_code,
            },
        );
        Reply::refusal(problem, true)
    }
}
