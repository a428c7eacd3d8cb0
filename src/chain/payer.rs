//! Who pays for a request; and shadow mode, in which a refusal is found and the request forwarded all
//! the same.
//!
//! Invariant: what is overlooked takes nothing. Every step asks through `Payer::judge`, which puts
//! only a caller before it against whom nothing was found; so the first refusal is the one that is
//! told, and nothing after it decides about the caller or takes units.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    answer::{Code, Denial},
    roster::Caller,
};

/// Who pays for a request, as far as the steps have decided.
#[derive(Debug)]
pub enum Payer {
    /// The caller, against whom nothing was found.
    Caller(Arc<Caller>),
    /// Nobody: the route is public.
    Nobody,
    /// Nobody: it would have been refused.
    Overlooked(Overlooked),
    /// Nobody who is known: what comes with the request must pay.
    Stranger,
}

/// A refusal that is overlooked. Made here alone.
#[derive(Debug)]
pub struct Overlooked {
    /// `None` when the refusal was about who calls.
    caller: Option<Arc<Caller>>,
    code: Code,
}

/// What a step decides about, and so whose `enforce` counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum About {
    /// The key, its owner and its scopes: the route's alone.
    Key,
    /// What was bought, and what is left of it: the route's and the plan's.
    Plan,
}

impl Payer {
    /// Begins with the caller that was found, or with the reason why there is none. `by_route` tells whether
    /// the route's refusals are carried out.
    pub(super) fn of(found: Result<Arc<Caller>, Denial>, by_route: bool) -> Result<Self, Denial> {
        match found {
            Ok(caller) => Ok(Self::Caller(caller)),
            Err(denial) if by_route => Err(denial),
            Err(denial) => Ok(Self::overlooking(&denial, None)),
        }
    }

    /// Lets a step decide about the caller, and gives what it found. Where refusals are not enforced,
    /// one is overlooked. There is nothing to decide where nobody pays.
    pub(super) fn judge<T>(
        self,
        by_route: bool,
        about: About,
        decide: impl FnOnce(&Arc<Caller>) -> Result<T, Denial>,
    ) -> Result<(Self, Option<T>), Denial> {
        let Self::Caller(caller) = self else { return Ok((self, None)) };
        match decide(&caller) {
            Ok(found) => Ok((Self::Caller(caller), Some(found))),
            Err(denial) if is_enforced(by_route, about, &caller) => Err(denial),
            Err(denial) => Ok((Self::overlooking(&denial, Some(caller)), None)),
        }
    }

    /// Tells whether a refusal about what was bought is carried out.
    pub(super) fn is_refused(&self, by_route: bool) -> bool {
        match self {
            Self::Caller(caller) => is_enforced(by_route, About::Plan, caller),
            Self::Stranger => by_route,
            Self::Nobody | Self::Overlooked(_) => false,
        }
    }

    /// Gives the caller, as far as it is known.
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        match self {
            Self::Caller(caller) => Some(caller),
            Self::Nobody | Self::Stranger => None,
            Self::Overlooked(overlooked) => overlooked.caller.as_ref(),
        }
    }

    /// Gives the caller who pays; `None` where nobody does.
    pub(super) fn paying(&self) -> Option<&Arc<Caller>> {
        match self {
            Self::Caller(caller) => Some(caller),
            Self::Nobody | Self::Overlooked(_) | Self::Stranger => None,
        }
    }

    /// Gives the code of the refusal that is overlooked.
    pub fn shadow(&self) -> Option<Code> {
        match self {
            Self::Caller(_) | Self::Nobody | Self::Stranger => None,
            Self::Overlooked(overlooked) => Some(overlooked.code),
        }
    }

    fn overlooking(denial: &Denial, caller: Option<Arc<Caller>>) -> Self {
        let code = denial.code();
        debug_assert!(
            [
                StatusCode::UNAUTHORIZED,
                StatusCode::PAYMENT_REQUIRED,
                StatusCode::FORBIDDEN,
                StatusCode::TOO_MANY_REQUESTS,
            ]
            .contains(&code.status()),
            "{code:?} is not about the right to be served"
        );
        Self::Overlooked(Overlooked { caller, code })
    }
}

/// Tells whether a refusal is carried out, where the route's are or are not.
pub(super) fn is_enforced(by_route: bool, about: About, caller: &Caller) -> bool {
    let by_plan = match about {
        About::Key => true,
        About::Plan => caller.plan().is_none_or(|plan| plan.enforce),
    };
    by_route && by_plan
}
