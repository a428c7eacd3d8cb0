//! The nouns: who calls, what was sold to them, where a call goes.
//!
//! Everything here is plain data in its checked form: a value of these types cannot be wrong.

mod customer;
mod durability;
pub(crate) mod duration;
mod key;
mod limits;
mod money;
mod name;
mod network;
mod plan;
mod route;
mod secret;
mod segment;
mod subscription;
mod upstream;

pub use customer::{Customer, CustomerTerms};
pub use durability::Durability;
pub use duration::{DURATION_MAX, duration_text, parse_duration};
pub use key::{ApiKey, DigestHasher, DigestTable, KeyDigest, KeyState, ParseDigestError};
pub use limits::OwnLimits;
pub use money::{Currency, Money, MoneyError, Nanos, PRICE_MAX};
pub use name::{ID_MAX, NAME_MAX, is_id, is_name, is_name_char, is_scope, looks_like_a_key};
pub use network::ClientNetwork;
pub use plan::{Align, OverageTerms, Plan, QuotaTerms};
pub use route::{Access, ChargeOn, Methods, Route, Settle, WebSocket};
pub use secret::{Environment, new_secret};
pub use segment::{SegmentError, is_segment_byte, normal_segment};
pub use subscription::{
    ChangeRule, NextPlan, PlanChange, Status, StatusName, Subscription, SubscriptionTerms,
    TermsError,
};
pub use upstream::{
    Address, Endpoint, Endpoints, Health, HostHeader, HttpVersion, Limit, Question, Upstream,
};
