//! `faregate key new`: a key and its digest, made here. It touches nothing.

use clap::Args;

use crate::{
    cli::{
        key::Env,
        print::{json_text, out},
    },
    model::{Environment, KeyDigest, new_secret},
};

/// The arguments.
#[derive(Args, Debug)]
pub(in crate::cli) struct New {
    /// Whether the key is for real use or for trying out
    #[arg(long, value_enum, default_value_t = Env::Live)]
    env: Env,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl New {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { env, json } = self;
        let environment = match env {
            Env::Live => Environment::Live,
            Env::Test => Environment::Test,
        };
        let secret = new_secret(environment)?;
        let digest = KeyDigest::of(secret.as_bytes());
        if json {
            let made = serde_json::json!({"key": *secret, "digest": digest.to_string()});
            return out(&json_text(&made));
        }
        out(&format!(
            "key     {}\ndigest  {digest}\n\n\
             Give the key to the caller; it is not shown again. Put the digest into the file:\n\
             keys = [\"{digest}\"]\n",
            *secret
        ))
    }
}
