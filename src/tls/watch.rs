//! What is told of certificates that end: by the log at the start, at a reload and once a day, until they
//! are renewed.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{sleep, timeout};

use crate::{gateway::Gateway, snapshot::Snapshot};

/// How much time passes between two looks without a reload, by the clock that decides.
const PERIOD: SignedDuration = SignedDuration::from_hours(24);

/// How often that clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks at the certificates again and again. It never ends by itself.
pub(crate) async fn watch(gateway: Arc<Gateway>) {
    let mut reloaded = gateway.reloaded();
    loop {
        // Before the look at the snapshot: a reload after it is one more round.
        reloaded.mark_unchanged();
        let now = gateway.clock().now();
        tell(&gateway.snapshot(), now);
        while gateway.clock().now().duration_since(now).abs() < PERIOD {
            match timeout(LOOK, reloaded.changed()).await {
                Ok(Ok(())) => break,
                // Nobody is left who could tell of a reload.
                Ok(Err(_)) => sleep(LOOK).await,
                Err(_) => {}
            }
        }
    }
}

fn tell(snapshot: &Snapshot, now: Timestamp) {
    for (of, validity) in snapshot.certificates() {
        let Some(ends) = validity.warning(now) else { continue };
        let file = validity.file.display();
        let name = validity.name.as_deref().unwrap_or_default();
        tracing::warn!(%file, name, of, ends, "renew a certificate");
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io, sync::Mutex};

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::{clock::Clock, config::Loaded, ledger::Ledger};

    /// What is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Log {
        /// Gives the lines so far, and forgets them.
        fn take(&self) -> Vec<String> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            text.lines().map(ToOwned::to_owned).collect()
        }
    }

    const TABLES: &str = "[server]\nlisten = \"127.0.0.1:0\"\n\
         tls = { cert = \"tls.crt\", key = \"tls.key\" }\n\
         [upstreams.api]\nurl = \"http://127.0.0.1:9000\"\n\
         [[routes]]\npath = \"/{*path}\"\nupstream = \"api\"\naccess = \"public\"\n";

    /// Writes a certificate that ends with this year, and its key.
    fn renew(directory: &std::path::Path, until: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["api.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until + 1, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        for (name, label, der) in [
            ("tls.crt", "CERTIFICATE", certificate.der().to_vec()),
            ("tls.key", "PRIVATE KEY", key.serialize_der()),
        ] {
            use base64::{Engine as _, prelude::BASE64_STANDARD};
            let text = BASE64_STANDARD.encode(der);
            let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
            fs::write(directory.join(name), pem).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn end_is_told_at_the_start_once_a_day_and_at_a_reload() {
        let log = Log::default();
        let _logging = tracing::subscriber::set_default(
            tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish(),
        );
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("faregate.toml");
        renew(directory.path(), 2096);
        fs::write(&file, TABLES).unwrap();
        let config = Loaded::parse(TABLES, &file).into_config().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let clock = Arc::new(Clock::manual(at("2096-12-18T00:00:00Z")));
        let ledger = Ledger::new(Timestamp::MIN);
        let gateway = Arc::new(Gateway::new(&config, Some(file), ledger, Arc::clone(&clock)));
        let watching = tokio::spawn(watch(Arc::clone(&gateway)));
        // However long that takes by the clock that measures: it is the other one that decides.
        let pass = || sleep(Duration::from_secs(100_000));
        pass().await;
        assert_eq!(log.take(), [] as [String; 0]);
        for (now, ends) in [
            ("2096-12-18T23:59:59Z", None),
            ("2096-12-19T00:00:00Z", Some("ends on 2097-01-01T00:00:00Z")),
            ("2096-12-19T23:00:00Z", None),
            ("2096-12-20T00:00:00Z", Some("ends on 2097-01-01T00:00:00Z")),
            ("2097-01-02T00:00:00Z", Some("ended on 2097-01-01T00:00:00Z")),
        ] {
            clock.set(at(now));
            pass().await;
            let lines = log.take();
            assert_eq!(lines.len(), usize::from(ends.is_some()), "{now}: {lines:?}");
            let told = lines.iter().zip(ends).all(|(line, ends)| {
                ["WARN", "renew a certificate", "tls.crt", "api.test", "of=\"clients\"", ends]
                    .iter()
                    .all(|part| line.contains(part))
            });
            assert!(told, "{now}: {lines:?}");
        }
        for (until, count) in [(2096, 1), (2098, 0)] {
            renew(directory.path(), until);
            gateway.reload().unwrap();
            pass().await;
            let lines = log.take();
            let told = lines.iter().filter(|line| line.contains("renew a certificate")).count();
            assert_eq!(told, count, "{lines:?}");
        }
        watching.abort();
    }
}
