//! `faregate backup`: a consistent copy of the store while the gateway runs.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use http::{Request, header};
use http_body_util::Empty;

use crate::cli::{
    admin::{Admin, Answer, CallError, Client, Watched},
    partial::Partial,
    print::{json_text, out},
};

/// How long the gateway may take to copy its store before it sends the first byte.
const COPY_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// What the copy is, and how every SQLite database begins.
const MEDIA_TYPE: &str = "application/vnd.sqlite3";
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The journal goes with the database that it was written for: its records are either in the copy
/// already, or are of a time that is given up with the restoration.
const RESTORING: &str = "To restore it: stop the gateway, remove the database with its -wal and \
    -shm files,\nput this file in its place, move the journal directory away (with the admin \
    token\nthat was made there), and start. What is counted after the backup is not in it.\n";

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = format!("Example:\n  faregate backup faregate-2026-11-20.db\n\n{RESTORING}"))]
pub(super) struct Backup {
    /// The file to make; one that is there is not touched
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { file, json, admin } = self;
        if fs::symlink_metadata(&file).is_ok() {
            bail!("{} is there already; name another file", file.display());
        }
        let client = admin.client()?;
        // Digests of keys and secrets of webhooks are in it.
        let mut partial = Partial::create(&file, 0o600)?;
        client.block_on(copy(&client, &mut partial)).map_err(explained)?;
        if fs::symlink_metadata(&file).is_ok() {
            bail!("{} was made meanwhile; name another file", file.display());
        }
        let bytes = partial.finish()?;
        let path = file.display().to_string();
        if json {
            return out(&json_text(&serde_json::json!({"file": path, "bytes": bytes})));
        }
        out(&format!("{path}: {bytes} bytes\n\n{RESTORING}"))
    }
}

/// Adds what helps when there is no gateway to ask.
fn explained(error: anyhow::Error) -> anyhow::Error {
    if !matches!(error.downcast_ref(), Some(CallError::Unreachable { .. })) {
        return error;
    }
    error.context(
        "only a running gateway makes a backup; when it is stopped, copy its database and its \
         journal directory together instead",
    )
}

async fn copy(client: &Client, partial: &mut Partial) -> anyhow::Result<()> {
    let request = Request::post("/v1/backup").header(header::ACCEPT, MEDIA_TYPE);
    let sent = client.send(request, Empty::<bytes::Bytes>::new());
    let answer = tokio::time::timeout(COPY_TIMEOUT, sent).await;
    let answer = answer.context("the gateway took too long to copy its store")??;
    let mut answer = Answer::expect(answer, client, MEDIA_TYPE).await?;
    let watched = Watched::new();
    let mut begin: Vec<u8> = Vec::new();
    while let Some(chunk) = client.unless_idle(&watched, answer.chunk()).await?? {
        watched.moved();
        let missing = MAGIC.len().saturating_sub(begin.len());
        begin.extend(chunk.iter().copied().take(missing));
        partial.write(&chunk)?;
    }
    if begin != MAGIC {
        return Err(client.not_ours("what it sent is no database".to_owned()).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::Path};

    use super::*;
    use crate::cli::admin::scripted::{Scripted, Step, answer, chunk, raw};

    fn backup(file: &Path, steps: Vec<Step>) -> (anyhow::Result<()>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let server = Scripted::start(steps);
        let admin = server.admin(directory.path());
        let done = Backup { file: file.to_owned(), json: false, admin }.run();
        (done, server.read())
    }

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.sqlite3\r\n\
        transfer-encoding: chunked\r\n\r\n";

    #[test]
    fn copy_is_there_whole_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("copy.db");
        let parts = [HEAD, &chunk(&MAGIC[..7]), &chunk(&MAGIC[7..]), &chunk(b"rest"), b"0\r\n\r\n"];
        let (done, read) = backup(&file, vec![raw(parts.concat())]);
        done.unwrap();
        assert!(read[0].starts_with("POST /v1/backup HTTP/1.1\r\n"), "{}", read[0]);
        assert_eq!(fs::read(&file).unwrap(), [MAGIC, b"rest"].concat());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_left_of_a_copy_that_failed() {
        let cut = [HEAD, &chunk(MAGIC), &chunk(b"half")].concat();
        let foreign = [HEAD, &chunk(b"this is no database at all"), b"0\r\n\r\n"].concat();
        let endless = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.sqlite3\r\n\r\nSQLite";
        let problem = serde_json::json!({"code": "store_unavailable", "detail": "No store."});
        for (step, word) in [
            (raw(cut), "closed the connection"),
            (raw(foreign), "no database"),
            (raw(endless.to_vec()), "its end"),
            (answer("503 Service Unavailable", &problem), "No store"),
            (raw(""), "closed the connection"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let (done, _) = backup(&directory.path().join("copy.db"), vec![step]);
            let told = done.unwrap_err().to_string();
            assert!(told.contains(word), "{word}: {told}");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{word}");
        }
    }

    #[test]
    fn file_that_is_there_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("copy.db");
        fs::write(&file, "mine").unwrap();
        let (done, _) = backup(&file, Vec::new());
        assert!(done.unwrap_err().to_string().contains("is there already"));
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }

    #[test]
    fn stopped_gateway_is_copied_by_hand() {
        let directory = tempfile::tempdir().unwrap();
        let server = Scripted::start(Vec::new());
        let admin = server.admin(directory.path());
        server.read();
        let file = directory.path().join("copy.db");
        let error = Backup { file: file.clone(), json: false, admin }.run().unwrap_err();
        let told = format!("{error:#}");
        assert!(
            told.contains("journal directory") && told.contains("no gateway answers"),
            "{told}"
        );
        assert!(!file.exists());
    }
}
