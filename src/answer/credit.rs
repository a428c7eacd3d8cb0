//! Denials where the caller's money would have paid as well, and does not.

use std::borrow::Cow;

use crate::{
    answer::{Code, Denial, QuotaDenial},
    ledger::CreditStanding,
    model::{Money, Nanos},
};

/// What a call costs, and what the caller has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CreditShortage {
    /// The price of one call.
    pub price: Money,
    /// What there is; `None` if the caller never had any.
    pub standing: Option<CreditStanding>,
}

/// A request that neither the plan nor the money covers.
#[derive(Clone, Debug)]
pub struct CreditDenial {
    /// Why the plan does not.
    pub reason: Denial,
    /// Why the money does not.
    pub shortage: CreditShortage,
}

impl CreditDenial {
    /// Gives the code: that of the plan's reason, since both would help. Who holds no plan and has had
    /// money pays by the call, and is told that this is short; and what no plan has can be paid for.
    pub(super) fn code(&self) -> Code {
        match self.reason {
            Denial::SubscriptionRequired if self.shortage.standing.is_some() => {
                Code::InsufficientCredits
            }
            Denial::FeatureNotAvailable => Code::PaymentRequired,
            ref reason => reason.code(),
        }
    }

    /// Tells both, for people.
    pub(super) fn detail(&self) -> String {
        let reason = match self.code() {
            Code::InsufficientCredits => Cow::Borrowed(""),
            Code::PaymentRequired => Cow::Borrowed("No plan on sale includes this route. "),
            _ => Cow::Owned(format!("{} ", self.reason.detail())),
        };
        format!("{reason}{}", self.shortage.detail())
    }

    /// Gives the limit that the plan's reason is about.
    pub(super) fn quota(&self) -> Option<&QuotaDenial> {
        match &self.reason {
            Denial::QuotaExceeded(quota) => Some(quota),
            _ => None,
        }
    }
}

impl CreditShortage {
    /// Gives what is left of grants, less what is owed.
    pub(super) fn balance(&self) -> Nanos {
        self.standing.map_or(Nanos::ZERO, |standing| standing.balance)
    }

    /// Gives what calls in flight hold.
    pub(super) fn reserved(&self) -> Nanos {
        self.standing.map_or(Nanos::ZERO, |standing| standing.reserved)
    }

    /// Tells both, for people.
    pub(crate) fn detail(&self) -> String {
        let Money { currency, .. } = self.price;
        let balance = Money { nanos: self.balance(), currency };
        format!("One call costs {}, and the credit balance is {balance}.", self.price)
    }

    /// Tells what the calls in flight keep it from, for people.
    pub(super) fn held_detail(&self) -> String {
        let held = Money { nanos: self.reserved(), currency: self.price.currency };
        format!("{} Calls in flight hold {held} of it.", self.detail())
    }
}
