//! The call that copies the store while it is written.
//!
//! The copy is made beside the database, since there is room for as much again or there is none
//! for the database to grow either. It has no name any more once it is whole, so nothing is left of
//! it, however the call ends.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use axum::{
    body::Body,
    extract::State as Shared,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::oneshot;

use super::{
    State,
    pipe::{self, PipeBody, Writer},
    problem::Problem,
    report::{SETTLED, fold},
};
use crate::store::{Database, StoreError};

/// How many bytes of the copy may wait for the client, and how many are read at once.
const BYTES_MAX: usize = 1 << 20;
const PIECE: usize = 64 * 1024;

/// Copies the store, with everything that was counted before the call. The copy is a database that
/// a gateway starts with; it holds the digests of keys and the secrets of webhooks.
#[utoipa::path(post, path = "/v1/backup", tag = "operation",
    responses((status = 200, description = "An SQLite database.",
        content((String = "application/vnd.sqlite3"))),
        (status = "4XX", body = Problem)))]
pub(super) async fn create(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let place = state.gates.backup()?;
    tokio::time::sleep(SETTLED).await;
    let (made, making) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let copied = copy(&state).map(|(file, length)| {
            let (writer, body) = pipe::pipe(BYTES_MAX, Some(length));
            (file, writer, (body, length))
        });
        match copied {
            Ok((file, writer, answer)) => {
                // Who left takes the body with it, which ends the sending.
                let _ = made.send(Ok(answer));
                send(file, writer);
            }
            Err(problem) => {
                let _ = made.send(Err(problem));
            }
        }
    });
    let (body, length): (PipeBody, u64) =
        making.await.unwrap_or_else(|_| Err(Problem::internal()))?;
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3")),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((fields, Body::new(body)).into_response())
}

/// Makes the copy, and gives it open and without a name.
fn copy(state: &State) -> Result<(File, u64), Problem> {
    let path = match &*state.database {
        Database::Postgres(_) => return Err(of_server()),
        Database::Sqlite(path) => beside(path),
    };
    fold(&state.keeper)?;
    // Of a process that was killed while it made one. There is one at a time, and one process.
    remove(&path)?;
    let made = state.another_reader()?.backup(&path);
    let opened = made.and_then(|()| {
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok((file, length))
    });
    remove(&path)?;
    Ok(opened?)
}

/// A copy of what a server has is not ours to make.
fn of_server() -> Problem {
    let detail = "The store is on a PostgreSQL server, which has its own means: copy it with pg_dump, as \
                  \"Backup and restoration\" in docs/operating.md says.";
    Problem::new(StatusCode::CONFLICT, "store_on_server", detail)
}

/// Gives the name of a copy while it is made.
fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".backup-in-progress");
    name.into()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

fn failed(error: io::Error) -> StoreError {
    StoreError::new("copy", error)
}

fn send(mut file: File, writer: Writer) {
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return writer.finish(),
            Ok(count) => {
                let bytes = piece.get(..count).unwrap_or_default();
                if writer.write(bytes).is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, "a backup is cut where it stands");
                return;
            }
        }
    }
}
