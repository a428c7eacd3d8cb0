//! `faregate enforcement`: whether what the gateway decides is carried out, or only told.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::admin::{Call, Remote};

/// The commands about enforcement.
#[derive(Debug, Subcommand)]
pub(super) enum Enforcement {
    /// Tell whether refusals are carried out
    #[command(after_help = "Example:\n  faregate enforcement show")]
    Show(Remote),
    /// Refuse what is to be refused
    #[command(after_help = "Example:\n  faregate enforcement on --reason 'trial week is over'")]
    On(Change),
    /// Let everything through and only note what would have been refused
    #[command(
        after_help = "Example:\n  faregate enforcement off --reason 'wrong limits in plan pro'"
    )]
    Off(Change),
}

#[derive(Args, Debug)]
pub(super) struct Change {
    /// Why; it is kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Enforcement {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Show(remote) => remote.show(&Call::get(&["enforcement"]), state),
            Self::On(change) => change.remote.show(&change.call(true), state),
            Self::Off(change) => change.remote.show(&change.call(false), state),
        }
    }
}

impl Change {
    fn call(&self, enforce: bool) -> Call {
        let body = match &self.reason {
            Some(reason) => json!({"enforce": enforce, "reason": reason}),
            None => json!({"enforce": enforce}),
        };
        Call::put(&["enforcement"], body)
    }
}

fn state(document: &Value) -> String {
    match document.get("enforce").and_then(Value::as_bool) {
        Some(true) => "on: what is to be refused is refused\n",
        Some(false) => "off: everything is let through\n",
        None => "unknown: the gateway did not say\n",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_sent_with_its_reason() {
        let change = Change { reason: Some("why".to_owned()), remote: Remote::default() };
        assert_eq!(change.call(false).line(), "PUT /v1/enforcement");
        assert_eq!(change.call(false).document(), json!({"enforce": false, "reason": "why"}));
        let change = Change { reason: None, remote: Remote::default() };
        assert_eq!(change.call(true).document(), json!({"enforce": true}));
    }

    #[test]
    fn state_is_in_words() {
        assert!(state(&json!({"enforce": true})).starts_with("on"));
        assert!(state(&json!({"enforce": false})).starts_with("off"));
        assert!(state(&json!({})).starts_with("unknown"));
    }
}
