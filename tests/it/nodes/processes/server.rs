//! A PostgreSQL server that a test has for itself, so that it can be stopped, held still, and left without a disk.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

/// Reads commands and runs them, with what scripts/postgres tells it, and with these by name:
/// `server` is the number of the server's first process.
const SHELL: &str = r#"
data=$(dirname "$FAREGATE_TEST_POSTGRES_CERTIFICATE")/data
binaries=$(dirname "$(readlink /proc/"$(head -n 1 "$data/postmaster.pid")"/exe)")
server() { head -n 1 "$data/postmaster.pid"; }
all() { first=$(server) && kill -s "$1" "$first" && kill -s "$1" $(pgrep -P "$first"); }
limit() { for process in $(server) $(pgrep -P $(server)); do prlimit --fsize="$1:" --pid "$process" || true; done; }
as_user() {
  if [ "$(id -u)" -eq 0 ]; then
    (cd / && runuser -u "${FAREGATE_TEST_POSTGRES_USER:-postgres}" -- "$@")
  else
    "$@"
  fi
}
while read -r line; do eval "$line" 2>&1 </dev/null; echo "ended $?"; done
all CONT
"#;

/// How large its disk is, where it has one of its own.
const DISK: &str = "256m";

/// Tells whether the server has a disk of its own.
const IS_OWN: &str = "mountpoint -q \"$TMPDIR\"";

pub(super) struct Server {
    shell: Child,
    commands: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    /// Where its disk is.
    _place: TempDir,
}

impl Server {
    /// Starts one on a disk of its own, where the system lets us have that.
    pub(super) fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        let mut command = Command::new("unshare");
        let run =
            format!("mount -t tmpfs -o size={DISK},mode=1777 disk \"$TMPDIR\" && exec \"$@\"");
        command.args(["--mount", "bash", "-c", &run, "sh"]);
        if !rustix::process::getuid().is_root() {
            command = Command::new("env");
        }
        command.args([script, "bash", "-c", SHELL]).env("TMPDIR", place.path());
        // A signal that ends the test must not end this, which then cleans up.
        command.process_group(0);
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let commands = shell.stdin.take();
        let told = BufReader::new(shell.stdout.take().unwrap());
        Self { shell, commands, told, _place: place }
    }

    /// Gives its URL.
    pub(super) fn url(&mut self) -> String {
        self.run("echo \"$FAREGATE_TEST_POSTGRES\"").trim().to_owned()
    }

    /// Runs a command that succeeds, and gives what it printed.
    pub(super) fn run(&mut self, command: &str) -> String {
        let (told, code) = self.try_run(command);
        assert_eq!(code, "0", "{command}: {told}");
        told
    }

    /// Runs a command, and gives what it printed and its exit code.
    pub(super) fn try_run(&mut self, command: &str) -> (String, String) {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        let mut told = String::new();
        loop {
            let mut line = String::new();
            assert!(self.told.read_line(&mut line).unwrap() > 0, "{command}: {told}");
            match line.strip_prefix("ended ") {
                Some(code) => return (told, code.trim().to_owned()),
                None => told.push_str(&line),
            }
        }
    }

    /// Holds all of its processes still.
    pub(super) fn freeze(&mut self) {
        self.run("all STOP");
    }

    /// Lets them go on.
    pub(super) fn thaw(&mut self) {
        self.run("all CONT");
    }

    /// Leaves no room on its disk. Where it has none of its own, no file may grow beyond what any has.
    pub(super) fn fill(&mut self) {
        self.run(&format!(
            "{IS_OWN} && {{ head -c 1G /dev/zero >\"$TMPDIR/filler\"; true; }} || limit 1"
        ));
    }

    /// Makes room again.
    pub(super) fn clear(&mut self) {
        self.run(&format!("{IS_OWN} && rm \"$TMPDIR/filler\" || limit unlimited"));
    }

    /// Tells whether its disk is its own.
    pub(super) fn has_disk(&mut self) -> bool {
        self.try_run(IS_OWN).1 == "0"
    }

    /// Tells whether it runs.
    pub(super) fn runs(&mut self) -> bool {
        self.try_run("[ -e \"$data/postmaster.pid\" ] && kill -0 $(server)").1 == "0"
    }

    /// Ends it as a crash would.
    pub(super) fn crash(&mut self) {
        self.run(
            "kill -s QUIT $(server); while [ -e \"$data/postmaster.pid\" ]; do sleep 0.02; done",
        );
    }

    /// Starts it again.
    pub(super) fn start_again(&mut self) {
        self.run(
            "as_user \"$binaries/pg_ctl\" -D \"$data\" -l \"$data/log\" -s -w restart >/dev/null",
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The script ends with its input, and cleans up.
        drop(self.commands.take());
        let _ = self.shell.wait();
    }
}
