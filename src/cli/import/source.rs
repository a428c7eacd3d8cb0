//! The file of an import: read by a thread of its own, a few pieces ahead of what is sent.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body::{Body, Frame};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use crate::cli::admin::Watched;

/// How much is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// How many pieces may wait to be sent.
const PIECES_MAX: usize = 4;

/// A file that was opened and looked into.
pub(super) struct Source {
    /// What messages call it.
    pub(super) name: String,
    /// Its size, if it has one before it is read.
    pub(super) bytes: Option<u64>,
    first: Vec<u8>,
    rest: Box<dyn Read + Send>,
    is_json: bool,
}

impl Source {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Self::of("stdin".to_owned(), None, Box::new(io::stdin()), None);
        }
        let name = path.display().to_string();
        let cannot = || format!("{name} cannot be read");
        let file = File::open(path).with_context(cannot)?;
        let metadata = file.metadata().with_context(cannot)?;
        if metadata.is_dir() {
            bail!("{name} is a directory; name a file");
        }
        let bytes = metadata.is_file().then_some(metadata.len());
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        let is_json = match extension.as_deref().and_then(|extension| extension.to_str()) {
            Some("csv") => Some(false),
            Some("jsonl" | "ndjson") => Some(true),
            _ => None,
        };
        Self::of(name, bytes, Box::new(file), is_json)
    }

    /// Reads the beginning, which tells the form when the name does not.
    fn of(
        name: String,
        bytes: Option<u64>,
        mut rest: Box<dyn Read + Send>,
        is_json: Option<bool>,
    ) -> anyhow::Result<Self> {
        let first = piece(&mut rest).with_context(|| format!("{name} cannot be read"))?;
        if first.is_empty() {
            bail!("{name} is empty; there is nothing to import");
        }
        let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first).trim_ascii_start();
        let is_json = is_json.unwrap_or(text.first() == Some(&b'{'));
        Ok(Self { name, bytes, first, rest, is_json })
    }

    /// Gives the type under which it is sent.
    pub(super) fn media_type(&self) -> &'static str {
        if self.is_json { "application/x-ndjson" } else { "text/csv" }
    }
}

/// Reads some more; empty at the end.
fn piece(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut piece) {
            Ok(bytes) => {
                piece.truncate(bytes);
                return Ok(piece);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why the file could not be read to its end. The connection only tells that the body failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Failed(Arc<Mutex<Option<String>>>);

impl Failed {
    /// Gives the reason if there is one.
    pub(super) fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, error: &io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

/// The body that the file is sent as.
pub(super) struct Upload {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    watched: Arc<Watched>,
    bar: ProgressBar,
    failed: Failed,
}

impl Upload {
    /// Begins to read. The thread ends with the file, or when nobody takes its pieces any more; one
    /// that waits for a terminal's input ends with the program.
    pub(super) fn start(source: Source, watched: Arc<Watched>, bar: ProgressBar) -> (Self, Failed) {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let Source { first, mut rest, .. } = source;
        std::thread::spawn(move || {
            let mut next = Ok(first);
            loop {
                let is_last = next.as_ref().map_or(true, Vec::is_empty);
                let is_taken = match next {
                    Ok(bytes) if bytes.is_empty() => return,
                    other => sender.blocking_send(other.map(Bytes::from)).is_ok(),
                };
                if is_last || !is_taken {
                    return;
                }
                next = piece(&mut rest);
            }
        });
        let failed = Failed::default();
        (Self { pieces, watched, bar, failed: failed.clone() }, failed)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let next = self.pieces.poll_recv(context);
        if next.is_pending() {
            self.watched.waits_for_us();
        }
        let next = ready!(next);
        self.watched.moved();
        Poll::Ready(match next {
            None => None,
            Some(Ok(piece)) => {
                self.bar.inc(piece.len() as u64);
                Some(Ok(Frame::data(piece)))
            }
            Some(Err(error)) => {
                self.failed.note(&error);
                Some(Err(error))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn media_type(name: &str, content: &str) -> anyhow::Result<&'static str> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        Source::open(&path).map(|source| source.media_type())
    }

    #[test]
    fn form_is_told_by_name_or_content() {
        for (name, content, expected) in [
            ("a.csv", "{", "text/csv"),
            ("a.JSONL", "customer", "application/x-ndjson"),
            ("a.ndjson", "customer", "application/x-ndjson"),
            ("a.txt", "{\"customer\":\"a\"}", "application/x-ndjson"),
            ("a", "\u{feff}\n {\"customer\":\"a\"}", "application/x-ndjson"),
            ("a.txt", "customer,plan\n", "text/csv"),
        ] {
            assert_eq!(media_type(name, content).unwrap(), expected, "{name}: {content}");
        }
        let error = media_type("a.csv", "").unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let told = |path: &Path| Source::open(path).err().unwrap().to_string();
        assert!(told(directory.path()).contains("is a directory"));
        assert!(told(&directory.path().join("none.csv")).contains("cannot be read"));
    }
}
