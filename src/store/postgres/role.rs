//! What connections are for, and what holds on each kind of them.

use std::time::Duration;

use super::leases::RECALLS;

/// How long a statement may take.
pub(super) const SHORT: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 10 });

/// How long one may take of who tells that it is there, or of leases: others wait for it no longer than that.
const SOON: Duration = Duration::from_secs(3);

/// By how much sooner than we the server gives a statement up, so that it can say so.
const SOONER: Duration = Duration::from_millis(500);

/// A transaction whose client is gone or frozen keeps its locks for so long at most.
const IDLE: Duration = Duration::from_secs(60);

/// Listens for what happens in the schema. A channel is the whole database's, and its name is short.
const LISTEN: &str =
    "DO $$ BEGIN EXECUTE format('LISTEN %I', 'faregate_' || md5(current_schema())); END $$";

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// One that carries what is said of leases, for which requests wait.
    Leases,
    /// One that writes, and listens for what others write.
    Peer,
    Reader,
    /// One that hears that others lack units.
    Recalled,
    Writer,
}

impl Role {
    /// How long a statement may take where nothing else is said.
    pub(super) fn limit(self) -> Duration {
        match self {
            Self::Leases | Self::Peer | Self::Recalled => SOON,
            Self::Reader | Self::Writer => SHORT,
        }
    }

    /// Gives the statements that set what holds for all that is done.
    pub(super) fn settings(self) -> String {
        let (limit, idle) = (server_limit(self.limit()), IDLE.as_millis());
        let only = match self {
            Self::Reader | Self::Recalled => "on",
            Self::Leases | Self::Peer | Self::Writer => "off",
        };
        let listen = match self {
            Self::Peer => LISTEN.to_owned(),
            Self::Recalled => format!("LISTEN {RECALLS}"),
            Self::Leases | Self::Reader | Self::Writer => String::new(),
        };
        format!(
            "SET statement_timeout = {limit};
             SET idle_in_transaction_session_timeout = {idle};
             SET default_transaction_read_only = {only};
             SET client_min_messages = warning;
             SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') = 'off';
             {listen}"
        )
    }
}

/// Gives how many milliseconds the server may take for what we wait so long for.
pub(super) fn server_limit(limit: Duration) -> u128 {
    limit.saturating_sub(SOONER).as_millis()
}
