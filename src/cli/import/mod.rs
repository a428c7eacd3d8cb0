//! `faregate import`: customers and keys in bulk. The file goes up while its results come down, so
//! that neither of them is ever held whole.

mod results;
mod source;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::anyhow;
use clap::Args;
use http::{Request, header};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{
    admin::{Admin, Answer, Call, CallError, Client, Watched},
    print::{json_text, out, plain},
};

use self::{
    results::{Lines, Tally},
    source::{Source, Upload},
};

/// The type of the answer.
const RESULTS: &str = "application/x-ndjson";

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate import customers.csv\n  \
    faregate import customers.jsonl --json\n  \
    other-program | faregate import -\n\n\
    The first line of a CSV file names its columns, and JSON lines use the same names:\n\
    customer (needed), name, plan, status, anchor, key or key_digest, key_id, application,\n\
    expires, scopes. A customer may have several lines, one for each key.\n\n\
    Importing a file again changes nothing. Bad lines are told with their numbers, good ones\n\
    are kept; the exit code is 1 if any was bad.")]
pub(super) struct Import {
    /// The file, as .csv, .jsonl or .ndjson; - is standard input. Another name is taken for JSON
    /// lines when it begins with {
    file: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { file, json, admin } = self;
        let client = admin.client()?;
        let source = Source::open(&file)?;
        let name = plain(&source.name);
        let bar = bar(source.bytes);
        let tally = client.block_on(transfer(&client, source, &bar));
        bar.finish_and_clear();
        let tally = tally?;
        let Some(summary) = tally.summary() else {
            let error = anyhow::Error::from(client.ended_early());
            return Err(error.context(incomplete(&name, &tally)));
        };
        out(&if json { json_text(summary) } else { tally.text(&name) })?;
        Ok(if tally.errors() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// Makes the bar that a terminal sees; elsewhere it draws nothing.
fn bar(bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    let template = match bytes {
        Some(_) => "{wide_bar} {bytes}/{total_bytes}, {msg}",
        None => "{spinner} {bytes}, {msg}",
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is one of the two"));
    bar
}

/// Sends the file and takes the results in, until both have ended or nothing moves any more.
async fn transfer(client: &Client, source: Source, bar: &ProgressBar) -> anyhow::Result<Tally> {
    let watched = Arc::new(Watched::new());
    let (name, media_type) = (plain(&source.name), source.media_type());
    let (upload, failed) = Upload::start(source, Arc::clone(&watched), bar.clone());
    let request = Request::post(Call::post(&["import"], ().into()).target())
        .header(header::CONTENT_TYPE, media_type)
        .header(header::ACCEPT, RESULTS);
    let mut tally = Tally::default();
    let done = receive(client, &watched, client.send(request, upload), |line| {
        if let Some(message) = tally.take(line)? {
            bar.suspend(|| eprintln!("{name}:{message}"));
        }
        bar.set_message(progress(&tally, bar));
        Ok(())
    });
    let Err(error) = done.await else { return Ok(tally) };
    // Once everything was summed up, it matters no longer how the connection ends.
    if tally.summary().is_some() {
        return Ok(tally);
    }
    if let Some(reason) = failed.reason() {
        return Err(anyhow!("{name} cannot be read: {reason}").context(incomplete(&name, &tally)));
    }
    if tally.lines() > 0 {
        return Err(error.context(incomplete(&name, &tally)));
    }
    // Who refuses an upload early may close the connection under it, and the answer is lost.
    // Whether the token is the reason can be asked again.
    if let Some(CallError::Cut { .. }) = error.downcast_ref()
        && let Err(refused @ CallError::Refused(_)) =
            client.json_later(&Call::get(&["enforcement"])).await
    {
        return Err(refused.into());
    }
    Err(error)
}

/// Says how far it came, and that nothing is lost by doing it again.
fn incomplete(name: &str, tally: &Tally) -> String {
    format!(
        "the import of {name} is not complete: {} lines were answered; import it again, which \
         changes nothing of what is done",
        tally.lines()
    )
}

async fn receive(
    client: &Client,
    watched: &Watched,
    sent: impl Future<Output = Result<Answer, CallError>>,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let answer = client.unless_idle(watched, sent).await??;
    let mut answer = Answer::expect(answer, client, RESULTS).await?;
    let mut lines = Lines::default();
    while let Some(chunk) = client.unless_idle(watched, answer.chunk()).await?? {
        watched.moved();
        lines.push(&chunk, &mut take)?;
    }
    lines.finish(&mut take)
}

/// Gives what stands beside the bar.
fn progress(tally: &Tally, bar: &ProgressBar) -> String {
    let seconds = bar.elapsed().as_secs().max(1);
    let (lines, errors) = (tally.lines(), tally.errors());
    format!("{lines} lines, {}/s, {errors} bad", lines / seconds)
}

#[cfg(test)]
mod tests;
