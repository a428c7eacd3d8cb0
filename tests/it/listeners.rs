//! Several addresses of one gateway, each with settings of its own (`[[server.listeners]]`).

use std::{fs, net::SocketAddr, sync::Arc};

use rustls::ClientConfig;

use crate::support::{
    Client, Exchange, Gateway, KEY, SMALL, Then, Upstream,
    certificates::Authority,
    client::{bearer, head},
    upstream::OK,
    wait_until_equal,
};

const NOW: &str = "2026-11-20T12:00:00Z";

const LISTENERS: &str = r#"
trusted_proxies = ["127.0.0.9"]

[[server.listeners]]
listen = "127.0.0.1:0"
tls = { cert = "own.pem", key = "own.pem" }

[[server.listeners]]
listen = "127.0.0.1:0"
tls = { cert = "own.pem", key = "own.pem", client_ca = "clients.pem", client_auth = "required" }

[[server.listeners]]
listen = "127.0.0.1:0"
proxy_protocol = true
"#;

fn tables(listeners: &str) -> String {
    let first = "listen = \"127.0.0.1:0\"\nworkers = 2\ndrain_timeout = \"5s\"";
    format!("[server]\n{first}\n{listeners}\n{SMALL}")
}

/// Gives a client of the nth of the listeners behind the first.
fn client(gateway: &Gateway, nth: usize) -> Client {
    Client::connect(gateway.running().further_addresses()[nth])
}

fn secured(gateway: &Gateway, nth: usize, config: &Arc<ClientConfig>) -> std::io::Result<Client> {
    client(gateway, nth).secure(config, "api.test")
}

#[test]
fn each_speaks_its_own_and_all_count_together() {
    let (ours, theirs, upstream) =
        (Authority::new("ours"), Authority::new("theirs"), Upstream::ok());
    let files = [("own.pem", &*ours.leaf(&["api.test"]).pem()), ("clients.pem", &*theirs.pem())];
    let gateway = Gateway::start_with_files(NOW, &tables(LISTENERS), &upstream, &files);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    let nobody = ours.client(None);
    let somebody = ours.client(Some(&theirs.leaf(&["client"])));
    assert_eq!(secured(&gateway, 0, &nobody).unwrap().get("/x", KEY).status(), 200);
    assert_eq!(secured(&gateway, 1, &somebody).unwrap().get("/x", KEY).status(), 200);
    assert!(upstream.last().field("client-cert").is_some());
    let proxied = gateway.running().further_addresses()[2];
    let mut proxied = Client::connect_from([127, 0, 0, 9], proxied);
    proxied.send("PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n");
    assert_eq!(proxied.get("/x", KEY).status(), 200);
    assert_eq!(upstream.last().field("x-forwarded-for"), Some("192.0.2.7"));
    gateway.wait_recorded("acme", &[("completed", 4, 4)]);

    // What another speaks is not spoken here.
    assert_eq!(client(&gateway, 0).get("/x", KEY).verdict(), "400 invalid_request");
    let unknown = secured(&gateway, 1, &nobody).and_then(|mut client| client.try_read());
    assert!(unknown.is_err(), "{unknown:?}");
    let mut stranger = client(&gateway, 2);
    let _ = stranger.try_send(head("GET", "/x", &[&bearer(KEY)]));
    assert!(matches!(stranger.try_read(), Ok(0) | Err(_)));
    assert_eq!((upstream.count(), gateway.used("acme")), (4, (4, 0)));
}

#[test]
fn certificate_of_one_changes_alone_and_no_address_does() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let both = LISTENERS.replace("client_auth = \"required\"", "client_auth = \"optional\"");
    let both = both.replacen("own.pem", "other.pem", 2);
    let [own, other, renewed] = [0; 3].map(|_| ours.leaf(&["api.test"]));
    let (own_pem, other_pem, clients) = (own.pem(), other.pem(), ours.pem());
    let files = [("own.pem", &*own_pem), ("other.pem", &*other_pem), ("clients.pem", &*clients)];
    let gateway = Gateway::start_with_files(NOW, &tables(&both), &upstream, &files);
    let shown = |nth| {
        let client = secured(&gateway, nth, &ours.client(None)).unwrap();
        client.session().peer_certificates().unwrap()[0].to_vec()
    };
    let der = |leaf: &crate::support::certificates::Leaf| leaf.cert.der().to_vec();
    assert_eq!([shown(0), shown(1)], [der(&other), der(&own)]);
    fs::write(gateway.directory().join("other.pem"), renewed.pem()).unwrap();
    wait_until_equal(|| [shown(0), shown(1)], &[der(&renewed), der(&own)]);

    let text = fs::read_to_string(gateway.file()).unwrap();
    for changed in [
        text.replacen("listen = \"127.0.0.1:0\"\nproxy", "listen = \"127.0.0.1:9\"\nproxy", 1),
        text.replace("[[server.listeners]]\nlisten = \"127.0.0.1:0\"\nproxy_protocol = true\n", ""),
    ] {
        assert_ne!(changed, text);
        gateway.write_raw(&changed);
        let refused = gateway.running().reload().unwrap_err().to_string();
        assert!(refused.contains("server.listeners") && refused.contains("restart"), "{refused}");
    }
    assert_eq!(gateway.get("/x", KEY).status(), 200);
}

#[test]
fn stop_answers_what_any_of_them_has_taken() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        exchange.send(OK)?;
        Ok(Then::Close)
    });
    let listeners = "[[server.listeners]]\nlisten = \"127.0.0.1:0\"\n".repeat(2);
    let mut gateway = Gateway::start_at(NOW, &tables(&listeners), &upstream);
    let addresses = gateway.running().further_addresses().to_vec();
    let mut clients: Vec<_> = addresses.iter().map(|address| Client::connect(*address)).collect();
    for client in &mut clients {
        client.send(head("GET", "/x", &[&bearer(KEY)]));
    }
    upstream.wait_for(2);
    gateway.stop();
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    let is_closed = |address: &SocketAddr| std::net::TcpStream::connect(address).is_err();
    assert!(addresses.iter().all(is_closed));
    gateway.restart();
    assert_eq!(gateway.used("acme"), (2, 0));
}

/// Writes the configuration of the real program, and returns its file.
fn write(directory: &std::path::Path, server: &str, admin: SocketAddr) -> std::path::PathBuf {
    let pem = Authority::new("ours").leaf(&["api.test"]).pem();
    fs::write(directory.join("own.pem"), pem).unwrap();
    let text = format!(
        "[server]\n{server}\n[admin]\nlisten = \"{admin}\"\n{}",
        SMALL
            .replace("@UPSTREAM@", "127.0.0.1:9")
            .replace("key:key-of-acme", &format!("sha256:{}", "a".repeat(64))),
    );
    let file = directory.join("faregate.toml");
    fs::write(&file, text).unwrap();
    file
}

/// It is named with its key.
#[test]
fn address_that_is_taken_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let tls =
        format!("tls = {{ cert = \"own.pem\", key = \"own.pem\", redirect = \"{address}\" }}");
    let free = "listen = \"127.0.0.1:0\"";
    for (server, key) in [
        (format!("listen = \"{address}\""), "server.listen"),
        (format!("{free}\n{tls}"), "server.tls.redirect"),
        (
            format!("{free}\n[[server.listeners]]\nlisten = \"{address}\""),
            "server.listeners.listen",
        ),
        (format!("{free}\n[[server.listeners]]\n{free}\n{tls}"), "server.listeners.tls.redirect"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = write(directory.path(), &server, "127.0.0.1:0".parse().unwrap());
        let run = std::process::Command::new(crate::process::FAREGATE)
            .args(["run", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success());
        assert!(said.contains(&format!(" {key} = \"{address}\": ")), "{said}");
    }
}

/// What is spoken at each address stands in the log.
#[test]
fn start_tells_what_is_spoken_where() {
    let directory = tempfile::tempdir().unwrap();
    let [first, plain, secured, proxied, admin] = [(); 5].map(|()| crate::process::free_address());
    let server = format!(
        "listen = \"{first}\"\ntrusted_proxies = [\"127.0.0.9\"]\n\
         [[server.listeners]]\nlisten = \"{plain}\"\n\
         [[server.listeners]]\nlisten = \"{secured}\"\n\
         tls = {{ cert = \"own.pem\", key = \"own.pem\", redirect = \"127.0.0.1:0\" }}\n\
         [[server.listeners]]\nlisten = \"{proxied}\"\nproxy_protocol = true"
    );
    write(directory.path(), &server, admin);
    let gateway = crate::process::Gateway::start(directory.path(), first, admin);
    for (address, spoken) in [
        (plain, "tls=false proxy_protocol=false"),
        (secured, "tls=true proxy_protocol=false"),
        (proxied, "tls=false proxy_protocol=true"),
    ] {
        gateway.wait_log(&format!("listening here too address={address} {spoken}"));
    }
    gateway.wait_log("sending callers to TLS from here address=127.0.0.1:");
}
