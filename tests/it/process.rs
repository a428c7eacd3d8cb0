//! The real binary as a process of its own, with an upstream that counts what reaches it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How long anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The program under test.
pub(crate) const FAREGATE: &str = env!("CARGO_BIN_EXE_faregate");

/// Gives the program that is measured: this build's, or the one that `FAREGATE_OVERLOAD_PROGRAM` names, as that
/// which runs in production.
pub(crate) fn program() -> String {
    std::env::var("FAREGATE_OVERLOAD_PROGRAM").unwrap_or_else(|_| FAREGATE.to_owned())
}

/// An upstream that answers `ok` and counts the requests it has read; a path with `fail` in it gets a
/// 500 and is not counted.
pub(crate) struct CountingUpstream {
    pub(crate) address: SocketAddr,
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl CountingUpstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&received), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let count = Arc::clone(&count);
                std::thread::spawn(move || drop(Self::answer(stream.unwrap(), &count)));
            }
        });
        Self { address, received, stop }
    }

    /// Answers requests without bodies, one after the other.
    fn answer(stream: TcpStream, count: &AtomicU64) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let fails = line.contains("fail");
            while line != "\r\n" {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
            }
            if fails {
                writer.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno")?;
            } else {
                count.fetch_add(1, Ordering::SeqCst);
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
            }
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    /// Gives the count, to be looked at from elsewhere.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }
}

impl Drop for CountingUpstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, so that it sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

/// A gateway process. It is killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    directory: PathBuf,
    /// From the start of the process to its being ready.
    pub(crate) start_time: Duration,
}

/// Picks an address that nothing listens on now. Below the ports that the system gives out itself:
/// one of those may be another's before it is used here. Tests that run at once are processes, and
/// each begins elsewhere.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let place =
            std::process::id().wrapping_mul(16).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + place % 20_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

impl Gateway {
    /// Starts `faregate run` on `faregate.toml` in a directory and waits until it is ready.
    pub(crate) fn start(directory: &Path, address: SocketAddr, admin: SocketAddr) -> Self {
        Self::start_by(Command::new(FAREGATE), directory, address, admin)
    }

    /// Starts it so that no file of its may become longer than so many KiB: a disk that is full.
    pub(crate) fn start_on_small_disk(
        kib: u64,
        directory: &Path,
        address: SocketAddr,
        admin: SocketAddr,
    ) -> Self {
        let mut shell = Command::new("bash");
        // Without the signal a write that goes too far fails like one on a full disk.
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec {FAREGATE} \"$@\""), "sh"]);
        Self::start_by(shell, directory, address, admin)
    }

    /// Starts it by a command, to which `run` is added.
    pub(crate) fn start_by(
        command: Command,
        directory: &Path,
        address: SocketAddr,
        admin: SocketAddr,
    ) -> Self {
        Self::try_start_by(command, directory, address, admin).unwrap_or_else(|ended| {
            let log = fs::read_to_string(directory.join("stderr.log")).unwrap_or_default();
            panic!("the gateway ended, {ended}: {log}");
        })
    }

    /// Starts it by a command, or gives how it ended.
    pub(crate) fn try_start_by(
        mut command: Command,
        directory: &Path,
        address: SocketAddr,
        admin: SocketAddr,
    ) -> Result<Self, ExitStatus> {
        let begun = Instant::now();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join("stderr.log"))
            .unwrap();
        command.arg("run").current_dir(directory).env_remove("FAREGATE_CONFIG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let mut gateway = Self {
            child,
            address,
            admin,
            directory: directory.to_owned(),
            start_time: Duration::ZERO,
        };
        while !gateway.is_ready() {
            assert!(begun.elapsed() < DEADLINE, "the gateway is not ready: {}", gateway.log());
            if let Some(ended) = gateway.child.try_wait().unwrap() {
                return Err(ended);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        gateway.start_time = begun.elapsed();
        Ok(gateway)
    }

    /// Tells whether it would be sent requests.
    pub(crate) fn is_ready(&self) -> bool {
        get(self.admin, "/readyz", &[]).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Gives what it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("stderr.log")).unwrap_or_default()
    }

    /// Waits until it has written a message.
    pub(crate) fn wait_log(&self, message: &str) {
        crate::support::wait_for(message, || self.log().contains(message).then_some(()));
    }

    /// Gives the most memory that it ever took, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Gives the field that permits calls of the admin listener.
    pub(crate) fn authorization(&self) -> String {
        let token = fs::read_to_string(self.directory.join("faregate.db.journal/admin-token"));
        format!("Bearer {}", token.unwrap().trim())
    }

    /// Gives a customer's usage document.
    pub(crate) fn usage(&self, customer: &str) -> serde_json::Value {
        let authorization = self.authorization();
        let path = format!("/v1/customers/{customer}/usage");
        let answer = get(self.admin, &path, &[("authorization", &authorization)]).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Makes an admin call that succeeds, and gives its answer.
    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) -> serde_json::Value {
        self.call("POST", path, &body.to_string())
    }

    /// Reads something by an admin call.
    pub(crate) fn read(&self, path: &str) -> serde_json::Value {
        self.call("GET", path, "")
    }

    fn call(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let authorization = self.authorization();
        let fields = [("authorization", &*authorization), ("content-type", "application/json")];
        let answer = exchange(self.admin, method, path, &fields, body).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Gives the address of the admin listener.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Gives the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives how it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends signal 9 and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to stop and waits; gives whether it ended well.
    pub(crate) fn stop(mut self) -> bool {
        self.signal("TERM");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(begun.elapsed() < DEADLINE, "the gateway does not stop: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks once on a connection of its own and gives the whole answer.
pub(crate) fn get(
    address: SocketAddr,
    path: &str,
    fields: &[(&str, &str)],
) -> std::io::Result<String> {
    exchange(address, "GET", path, fields, "")
}

/// Sends one request on a connection of its own and gives the whole answer.
pub(crate) fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let _ = stream.shutdown(Shutdown::Both);
    Ok(answer)
}

/// A client that keeps its connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Asks and gives status and body.
    pub(crate) fn ask(&mut self, path: &str, key: &str) -> std::io::Result<(u16, String)> {
        self.ask_whole(path, key).map(|answer| (answer.status, answer.body))
    }

    /// Asks and gives the answer.
    pub(crate) fn ask_whole(&mut self, path: &str, key: &str) -> std::io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-api-key: {key}\r\n\r\n");
        self.reader.get_mut().write_all(request.as_bytes())?;
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let (mut status, mut retry_after) = (0, None);
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().map_err(|_| broken())?;
            } else if let Some(value) = text.strip_prefix("content-length: ") {
                length = value.parse().map_err(|_| broken())?;
            } else if let Some(value) = text.strip_prefix("retry-after: ") {
                retry_after = Some(value.parse().map_err(|_| broken())?);
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status, retry_after, body })
    }
}

/// An answer to a [`Client`].
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In how many seconds to ask again, where that is said.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
}
