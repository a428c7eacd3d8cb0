//! `faregate key`: makes keys. It touches nothing.

use clap::{Subcommand, ValueEnum};

use crate::model::{Environment, KeyDigest, new_secret};

/// The commands about keys.
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Make a new key and its digest, for a file; nothing is stored
    New {
        /// Whether the key is for real use or for trying out
        #[arg(long, value_enum, default_value_t = Env::Live)]
        env: Env,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Env {
    /// fg_live_…
    Live,
    /// fg_test_…
    Test,
}

impl Key {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self::New { env, json } = self;
        let environment = match env {
            Env::Live => Environment::Live,
            Env::Test => Environment::Test,
        };
        let secret = new_secret(environment)?;
        let digest = KeyDigest::of(secret.as_bytes());
        if json {
            println!("{}", serde_json::json!({"key": *secret, "digest": digest.to_string()}));
        } else {
            println!("key     {}", *secret);
            println!("digest  {digest}");
            println!();
            println!(
                "Give the key to the caller; it is not shown again. Put the digest into the file:"
            );
            println!("keys = [\"{digest}\"]");
        }
        Ok(())
    }
}
