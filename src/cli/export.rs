//! `faregate export`: what was used, for invoices.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use http::{Request, header};
use http_body_util::Empty;
use jiff::Timestamp;

use crate::cli::{
    admin::{Admin, Answer, Call, Client, Watched},
    input::{self, WrongUsage},
    partial::Partial,
    print::{out, plain_lines, written},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate export --from 2026-11-01 --to 2026-12-01\n  \
    faregate export --from 2026-11-01 --to 2026-12-01 --by customer --output november.csv\n  \
    faregate export --from 2026-11-20 --to 2026-11-21 --by customer,route,hour --format jsonl")]
pub(super) struct Export {
    /// The first instant: 2026-11-01 (midnight UTC) or 2026-11-01T00:00:00Z
    #[arg(long, value_name = "DATE", value_parser = input::instant)]
    from: Timestamp,
    /// The first instant that is no longer in it, written likewise
    #[arg(long, value_name = "DATE", value_parser = input::instant)]
    to: Timestamp,
    /// What each line is for: customer, route, day, hour, key, ending, currency (then with the credit)
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "customer,route,day",
        value_parser = ["customer", "route", "day", "hour", "key", "ending", "currency"]
    )]
    by: Vec<String>,
    /// Only this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Csv, conflicts_with = "json")]
    format: Format,
    /// Write one JSON document
    #[arg(long)]
    json: bool,
    /// Write it here instead of to standard output; a file that is there is replaced once all is
    /// written
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// A heading, and a line for each row
    Csv,
    /// A JSON object on each line
    Jsonl,
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let call = self.call()?;
        let client = self.admin.client()?;
        let mut target = match &self.output {
            Some(path) => Target::File(Partial::create(path, 0o666)?),
            None if io::stdout().is_terminal() => Target::Terminal(Vec::new()),
            None => Target::Pipe,
        };
        client.block_on(self.copy(&client, call.target(), &mut target))?;
        target.finish()
    }

    fn call(&self) -> anyhow::Result<Call> {
        if self.from >= self.to {
            return Err(WrongUsage("--from is not before --to".to_owned()).into());
        }
        Ok(Call::get(&["usage"])
            .query("from", Some(&self.from.to_string()))
            .query("to", Some(&self.to.to_string()))
            .query("by", Some(&self.by.join(",")))
            .query("customer", self.customer.as_deref()))
    }

    async fn copy(&self, client: &Client, path: &str, target: &mut Target) -> anyhow::Result<()> {
        let accepted = match (self.json, self.format) {
            (true, _) => "application/json",
            (false, Format::Csv) => "text/csv",
            (false, Format::Jsonl) => "application/x-ndjson",
        };
        let request = Request::get(path).header(header::ACCEPT, accepted);
        let watched = Watched::new();
        let body = Empty::<bytes::Bytes>::new();
        let answer = client.unless_idle(&watched, client.send(request, body)).await??;
        let mut answer = Answer::expect(answer, client, accepted).await?;
        while let Some(chunk) = client.unless_idle(&watched, answer.chunk()).await?? {
            watched.moved();
            target.write(&chunk)?;
        }
        Ok(())
    }
}

/// Where the lines go.
enum Target {
    File(Partial),
    Pipe,
    /// With what is left of a line, so that nothing in it acts on the terminal.
    Terminal(Vec<u8>),
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Pipe => written(io::stdout().lock().write_all(bytes)),
            Self::Terminal(pending) => {
                pending.extend_from_slice(bytes);
                let end = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let lines: Vec<u8> = pending.drain(..end).collect();
                show(&lines)
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::File(file) => file.finish().map(drop),
            Self::Pipe => written(io::stdout().lock().flush()),
            Self::Terminal(pending) => show(&pending),
        }
    }
}

fn show(bytes: &[u8]) -> anyhow::Result<()> {
    out(&plain_lines(&String::from_utf8_lossy(bytes)))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use clap::Parser;

    use super::*;
    use crate::cli::admin::scripted::{Scripted, chunk, raw};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        export: Export,
    }

    fn parse(line: &str) -> Result<Export, clap::Error> {
        Ok(Line::try_parse_from(["x"].into_iter().chain(line.split(' ')))?.export)
    }

    #[test]
    fn query_says_what_is_wanted() {
        let export = parse("--from 2026-11-01 --to 2026-12-01 --customer a&b").unwrap();
        assert_eq!(
            export.call().unwrap().line(),
            "GET /v1/usage?from=2026-11-01T00%3A00%3A00Z&to=2026-12-01T00%3A00%3A00Z\
             &by=customer%2Croute%2Cday&customer=a%26b"
        );
        let export = parse("--from 2026-11-01 --to 2026-12-01 --by customer,ending").unwrap();
        assert!(export.call().unwrap().line().ends_with("&by=customer%2Cending"));
        let error = parse("--from 2026-12-01 --to 2026-12-01").unwrap().call().unwrap_err();
        assert!(error.is::<WrongUsage>());
        for wrong in [
            "--from 2026-11-01",
            "--from 30d --to 2026-12-01",
            "--from 2026-11-01 --to 2026-12-01 --by moon",
            "--from 2026-11-01 --to 2026-12-01 --format xml",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    fn export_to(file: &Path, answer: Vec<u8>) -> anyhow::Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let server = Scripted::start(vec![raw(answer)]);
        let mut export = parse("--from 2026-11-01 --to 2026-12-01").unwrap();
        export.output = Some(file.to_owned());
        export.admin = server.admin(directory.path());
        let done = export.run();
        assert!(server.read()[0].contains("accept: text/csv"));
        done
    }

    const HEAD: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";

    #[test]
    fn file_is_replaced_when_all_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("november.csv");
        fs::write(&file, "before").unwrap();
        let cut = [HEAD, &chunk(b"customer,units\nacme,")].concat();
        let error = export_to(&file, cut).unwrap_err().to_string();
        assert!(error.contains("closed the connection"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"before");

        let whole = [HEAD, &chunk(b"customer,units\nacme,"), &chunk(b"5\n"), b"0\r\n\r\n"].concat();
        export_to(&file, whole).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"customer,units\nacme,5\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_form_than_asked_for_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("november.csv");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
        let error = export_to(&file, answer.to_vec()).unwrap_err().to_string();
        assert!(error.contains("text/html"), "{error}");
        assert!(!file.exists());
    }
}
