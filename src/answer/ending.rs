//! How a request ended, and whether that is charged.

/// How a request ended. The names and what they charge are part of the contract; the order is that
/// of the life of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Ending {
    /// A step before the forward said no.
    Refused,
    /// No byte of it was written to an upstream connection.
    Unsent,
    /// Sent, then no head came: reset, idle or out of time.
    Failed,
    /// Sent, then the caller left or its body broke a limit before a head came.
    Abandoned,
    /// A head came with a status that is not charged.
    Uncharged,
    /// The answer ended whole.
    Completed,
    /// The answer was cut by the upstream.
    Truncated,
    /// The caller left or stopped reading.
    Aborted,
    /// After the head the total time or the drain time ran out.
    Expired,
    /// A panic of ours before the head.
    FaultedBeforeHead,
    /// A panic of ours after the head.
    FaultedAfterHead,
    /// Open at a crash.
    Unknown,
}

impl Ending {
    /// Every ending, in order.
    pub const ALL: [Self; 12] = [
        Self::Refused,
        Self::Unsent,
        Self::Failed,
        Self::Abandoned,
        Self::Uncharged,
        Self::Completed,
        Self::Truncated,
        Self::Aborted,
        Self::Expired,
        Self::FaultedBeforeHead,
        Self::FaultedAfterHead,
        Self::Unknown,
    ];

    /// Tells whether the reserved cost is taken; otherwise all of it is given back.
    pub fn charges(self) -> bool {
        match self {
            Self::Abandoned
            | Self::Completed
            | Self::Truncated
            | Self::Aborted
            | Self::Expired
            | Self::FaultedAfterHead
            | Self::Unknown => true,
            Self::Refused
            | Self::Unsent
            | Self::Failed
            | Self::Uncharged
            | Self::FaultedBeforeHead => false,
        }
    }

    /// Gives the name used in logs and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unsent => "unsent",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Uncharged => "uncharged",
            Self::Completed => "completed",
            Self::Truncated => "truncated",
            Self::Aborted => "aborted",
            Self::Expired => "expired",
            Self::FaultedBeforeHead | Self::FaultedAfterHead => "faulted",
            Self::Unknown => "unknown",
        }
    }
}
