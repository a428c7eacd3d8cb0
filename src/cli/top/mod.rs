//! `faregate top`: a running gateway, watched.

#[cfg(test)]
mod example;
mod grid;
mod history;
mod palette;
mod panel;
mod quantile;
mod sample;
mod screen;
mod state;
mod summary;
mod text;
mod view;
mod words;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use clap::Args;
use tokio::time::sleep;

use self::{palette::Palette, panel::Sort, sample::Figures, state::State};
use crate::{
    cli::{
        admin::{Admin, Call, CallError, Client},
        print::{json_text, out, plain},
    },
    live::Document,
    model::parse_duration,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate top\n  \
    faregate top --interval 5s --sort refused\n  \
    faregate top --once --admin http://10.0.0.2:8403 --token-file token")]
pub(super) struct Top {
    /// How much time passes from one look to the next; from 250ms to 1m
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// By what customers and routes are sorted
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Print one picture as text and end; so it does where there is no terminal
    #[arg(long)]
    once: bool,
    /// Print the figures of one picture as JSON and end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(250)..=Duration::from_secs(60);
    let interval = parse_duration(text).filter(|interval| allowed.contains(interval));
    interval.ok_or_else(|| "write a duration from 250ms to 1m, such as 1s".to_owned())
}

impl Top {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let client = self.admin.client()?;
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        let is_once = self.once || self.json || !is_terminal;
        let work = async {
            // Who is refused, or finds nobody, is told before the screen changes.
            let first = ask(&client).await?;
            if is_once {
                self.print(&client, &first).await
            } else {
                self.watch(&client, first).await
            }
        };
        match client.block_on(work) {
            // To interrupt it is a way to leave.
            Err(error) if !is_once && is_interrupt(&error) => Ok(()),
            done => done,
        }
    }

    async fn print(&self, client: &Client, first: &Document) -> anyhow::Result<()> {
        sleep(self.interval).await;
        let figures = Figures::between(first, &ask(client).await?);
        if self.json {
            return out(&json_text(&serde_json::to_value(&figures)?));
        }
        out(&text::picture(client.authority(), &figures, self.sort))
    }

    async fn watch(&self, client: &Client, first: Document) -> anyhow::Result<()> {
        let authority = client.authority().to_owned();
        let palette = Palette::of_environment();
        let state = State::new(authority, self.interval, self.sort, palette, first);
        screen::watch(client, state, self.interval).await
    }
}

fn is_interrupt(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CallError::Interrupted))
}

/// Asks the gateway for its document.
async fn ask(client: &Client) -> Result<Document, CallError> {
    let document = client.json_later(&Call::get(&["live"])).await?;
    let read = serde_json::from_value(document);
    read.map_err(|error| client.not_ours(plain(&format!("its document is strange: {error}"))))
}
