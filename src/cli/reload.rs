//! `faregate reload` and `faregate config`: the configuration of a running gateway.

use clap::Args;
use serde_json::json;

use crate::cli::{
    admin::{Call, Remote},
    print::json_text,
};

/// The arguments of `reload`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  faregate reload\n\n\
    A file with an error changes nothing; what is wrong is listed with its lines.")]
pub(super) struct Reload {
    #[command(flatten)]
    remote: Remote,
}

impl Reload {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let call = Call::post(&["reload"], json!({}));
        self.remote.show(&call, |_| "the configuration was read again and is in force\n".to_owned())
    }
}

/// The arguments of `config`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  faregate config")]
pub(super) struct Effective {
    #[command(flatten)]
    remote: Remote,
}

impl Effective {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.remote.show(&Call::get(&["config"]), json_text)
    }
}
