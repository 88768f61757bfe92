//! TLS from the outside: who gets in and who does not, what a client is shown, and what becomes of those who speak something
//! else. Servers run in this process; certificates are made for each test.

use crate::support::certificates::Certificates;
use crate::support::client::{Address, Client, PATIENCE, until};
use crate::support::spawn::{Server as Spawned, free_port};
use redstart::server::Server;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion, version};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: SocketAddr, config: &Arc<ClientConfig>, host: &str) -> Encrypted {
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    StreamOwned::new(ClientConnection::new(config.clone(), name).expect("a session"), plain(address))
}

fn plain(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends a request and compares the reply.
fn exchange(stream: &mut (impl Read + Write), request: &str, expected: &str) {
    assert_eq!(try_exchange(stream, request, expected.len()).expect("a reply"), expected, "{request}");
}

fn try_exchange(stream: &mut (impl Read + Write), request: &str, length: usize) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut reply = vec![0; length];
    stream.read_exact(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

#[test]
fn both_ends_show_certificates() {
    let certificates = Certificates::new();
    for threads in ["1", "3"] {
        let server = certificates.server().set("io-threads", threads).start().expect("it starts");
        let address = server.tls_address().expect("a port for TLS");
        for versions in [&BOTH[..1], &BOTH[1..], BOTH] {
            let config = certificates.client(Some("client"), versions);
            let mut client = connect(address, &config, "localhost");
            exchange(&mut client, "PING\r\nSET k v\r\n", "+PONG\r\n+OK\r\n");
            // Far more than one record holds, and than the socket takes at once; then in the other direction.
            let long = "x".repeat(3_000_000);
            let request = format!("*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n${}\r\n{long}\r\n", long.len());
            exchange(&mut client, &request, "+OK\r\n");
            exchange(&mut client, "GET long\r\n", &format!("${}\r\n{long}\r\n", long.len()));
            let many: String = (0..5000).map(|i| format!("INCRBY n{i} 1\r\nDEL n{i}\r\n")).collect();
            exchange(&mut client, &many, &":1\r\n".repeat(10_000));
        }
        // The same data over TCP, which goes on as ever.
        exchange(&mut plain(server.address()), "GET k\r\n", "$1\r\nv\r\n");
    }
}

#[test]
fn clients_refuse_certificates_that_are_not_good() {
    let certificates = Certificates::new();
    certificates.issue("old", &["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let stranger = Certificates::new();
    let config = certificates.client(Some("client"), BOTH);
    for (shown, host, why) in [
        ("server", "redis.example.com", "not valid for name"),
        ("old", "localhost", "expired"),
        ("stranger", "localhost", "UnknownIssuer"),
    ] {
        let (folder, name) = if shown == "stranger" { (&stranger, "server") } else { (&certificates, shown) };
        let builder = certificates.server().set("tls-cert-file", &folder.file(&format!("{name}.crt")));
        let server = builder.set("tls-key-file", &folder.file(&format!("{name}.key"))).start().expect("it starts");
        let mut client = connect(server.tls_address().expect("a port"), &config, host);
        let refusal = try_exchange(&mut client, "PING\r\n", 7).expect_err("the certificate is not good").to_string();
        assert!(refusal.contains(why), "{shown} as {host}: {refusal}");
    }
}

#[test]
fn clients_must_or_may_show_a_certificate() {
    let certificates = Certificates::new();
    let stranger = Certificates::new();
    certificates.issue("late", &["client"], |params| params.not_after = rcgen::date_time_ymd(2002, 1, 1));
    stranger.issue("client", &["client"], |_| {});
    std::fs::copy(stranger.file("client.crt"), certificates.file("other.crt")).expect("copied");
    std::fs::copy(stranger.file("client.key"), certificates.file("other.key")).expect("copied");
    let server = certificates.server().start().expect("it starts");
    let address = server.tls_address().expect("a port");
    let mut admin = plain(server.address());
    let gets_in = |shown, versions| {
        let mut client = connect(address, &certificates.client(shown, versions), "localhost");
        try_exchange(&mut client, "PING\r\n", 7).is_ok_and(|reply| reply == "+PONG\r\n")
    };
    for (wanted, none, good, bad) in [("yes", false, true, false), ("optional", true, true, false), ("no", true, true, true)] {
        exchange(&mut admin, &format!("CONFIG SET tls-auth-clients {wanted}\r\n"), "+OK\r\n");
        for versions in [&BOTH[..1], &BOTH[1..]] {
            assert_eq!(gets_in(None, versions), none, "{wanted}, no certificate");
            assert_eq!(gets_in(Some("client"), versions), good, "{wanted}, a good one");
            assert_eq!(gets_in(Some("other"), versions), bad, "{wanted}, of another authority");
            assert_eq!(gets_in(Some("late"), versions), bad, "{wanted}, an expired one");
        }
    }
}

#[test]
fn other_languages_than_tls_are_hung_up_on() {
    let certificates = Certificates::new();
    for threads in ["1", "2"] {
        let server = certificates.server().set("io-threads", threads).start().expect("it starts");
        let address = server.tls_address().expect("a port");
        let hello_and_garbage = [&[22, 3, 1, 2, 0, 1, 0, 1, 252][..], &[0xee; 600]].concat();
        for said in [&b"PING\r\n"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 300], &[0xff; 70_000], &hello_and_garbage] {
            let mut stranger = plain(address);
            // It may hang up before all is said.
            let _ = stranger.write_all(said);
            let mut heard = Vec::new();
            match stranger.read_to_end(&mut heard) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
            }
            // Nothing, or a TLS alert; never anything that could be taken for a reply.
            assert!(heard.is_empty() || heard[0] == 21, "{heard:?}");
        }
        // A client that speaks TLS to the port without it hears no reply either.
        let config = certificates.client(Some("client"), BOTH);
        assert!(try_exchange(&mut connect(server.address(), &config, "localhost"), "PING\r\n", 7).is_err());
        exchange(&mut connect(address, &config, "localhost"), "PING\r\n", "+PONG\r\n");
    }
}

#[test]
fn a_client_that_never_finishes_its_handshake_is_let_go() {
    let certificates = Certificates::new();
    let server = certificates.server().start().expect("it starts");
    let mut half = plain(server.tls_address().expect("a port"));
    half.write_all(&[22, 3, 1]).expect("it is taken");
    half.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    assert_eq!(half.read(&mut [0; 64]).expect("an end, not a timeout"), 0);
    let mut admin = plain(server.address());
    exchange(&mut admin, "CLIENT KILL TYPE normal\r\n", ":0\r\n");
}

#[test]
fn files_that_change_are_read_again() {
    let certificates = Certificates::new();
    let server = certificates.server().start().expect("it starts");
    let address = server.tls_address().expect("a port");
    let config = certificates.client(Some("client"), BOTH);
    let shown = || {
        let mut client = connect(address, &config, "localhost");
        exchange(&mut client, "PING\r\n", "+PONG\r\n");
        client.conn.peer_certificates().expect("one")[0].to_vec()
    };
    let first = shown();
    let mut admin = plain(server.address());
    // CONFIG SET reads them at once, even if no value changes but another.
    certificates.issue("second", &["localhost"], |_| {});
    let set = |name: &str| {
        let (certificate, key) = (certificates.file(&format!("{name}.crt")), certificates.file(&format!("{name}.key")));
        format!("CONFIG SET tls-cert-file {certificate} tls-key-file {key}\r\n")
    };
    exchange(&mut admin, &set("second"), "+OK\r\n");
    let second = shown();
    assert_ne!(first, second);
    // A key of another certificate is refused, and nothing changes.
    let refusal = "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - Unable to update TLS configuration. \
                   Check server logs.\r\n";
    exchange(&mut admin, &format!("CONFIG SET tls-key-file {}\r\n", certificates.file("server.key")), refusal);
    assert_eq!(shown(), second);
    // Files that are replaced are noticed within a second or so.
    certificates.issue("second", &["localhost"], |_| {});
    let deadline = std::time::Instant::now() + PATIENCE;
    while shown() == second {
        assert!(std::time::Instant::now() < deadline, "the new certificate is never shown");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn ports_open_and_close_while_the_server_runs() {
    let certificates = Certificates::new();
    let server = certificates.server().start().expect("it starts");
    let address = server.tls_address().expect("a port");
    let config = certificates.client(Some("client"), BOTH);
    let mut client = connect(address, &config, "localhost");
    exchange(&mut client, "CONFIG SET tls-port 0\r\n", "+OK\r\n");
    assert_eq!(TcpStream::connect(address).expect_err("closed").kind(), ErrorKind::ConnectionRefused);
    // Who is in stays, and sees what is open.
    client.write_all(b"INFO server\r\n").expect("it is taken");
    let mut told = vec![0; 4000];
    let length = client.read(&mut told).expect("a reply");
    let told = String::from_utf8_lossy(&told[..length]).into_owned();
    assert!(told.contains("listener0:name=tcp,bind=127.0.0.1,port=") && !told.contains("name=tls"), "{told}");
    exchange(&mut client, &format!("CONFIG SET tls-port {}\r\n", address.port()), "+OK\r\n");
    exchange(&mut connect(address, &config, "localhost"), "PING\r\n", "+PONG\r\n");
    exchange(&mut client, "CONFIG SET tls-protocols TLSv1.2\r\n", "+OK\r\n");
    exchange(&mut connect(address, &certificates.client(Some("client"), &BOTH[..1]), "localhost"), "PING\r\n", "+PONG\r\n");
    let refused =
        try_exchange(&mut connect(address, &certificates.client(Some("client"), &BOTH[1..]), "localhost"), "PING\r\n", 7);
    assert!(refused.is_err());
}

/// A client that waits for a key and goes is not served any more, though its farewell lies encrypted in the socket.
#[test]
fn a_waiting_client_that_says_good_bye_gets_no_element() {
    let certificates = Certificates::new();
    for threads in ["1", "2"] {
        let server = certificates.server().set("io-threads", threads).start().expect("it starts");
        let config = certificates.client(Some("client"), BOTH);
        let mut waiting = connect(server.tls_address().expect("a port"), &config, "localhost");
        exchange(&mut waiting, "PING\r\n", "+PONG\r\n");
        waiting.write_all(b"BLPOP list 0\r\n").expect("it is taken");
        let mut admin = plain(server.address());
        let waits = |admin: &mut TcpStream| try_exchange(admin, "CLIENT KILL ID 0\r\nINFO clients\r\n", 300).expect("a reply");
        let deadline = std::time::Instant::now() + PATIENCE;
        while !waits(&mut plain(server.address())).contains("blocked_clients:1") {
            assert!(std::time::Instant::now() < deadline, "it never waits");
        }
        waiting.conn.send_close_notify();
        waiting.flush().expect("it is taken");
        while waits(&mut plain(server.address())).contains("blocked_clients:1") {
            assert!(std::time::Instant::now() < deadline, "it waits for ever");
        }
        exchange(&mut admin, "RPUSH list x\r\nLLEN list\r\n", ":1\r\n:1\r\n");
    }
}

#[test]
fn a_server_without_its_certificates_does_not_start() {
    let certificates = Certificates::new();
    for (name, value, why) in [
        ("tls-cert-file", "", "No tls-cert-file configured!"),
        ("tls-key-file", "", "No tls-key-file configured!"),
        ("tls-ca-cert-file", "", "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"),
        ("tls-cert-file", "/nowhere.crt", "Failed to load certificate: /nowhere.crt"),
        ("tls-protocols", "SSLv3", "Invalid tls-protocols"),
        ("tls-ciphersuites", "TLS_NULL", "TLS_NULL is not known"),
    ] {
        let value = if value.is_empty() { "\"\"" } else { value };
        let refusal = certificates.server().set(name, value).start().err().expect("it cannot start").to_string();
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn redis_cli_and_redis_py_over_tls() {
    let certificates = Certificates::new();
    let file = |name| certificates.file(name);
    let (certificate, key, authority) = (file("server.crt"), file("server.key"), file("ca.crt"));
    let tls = ["--tls-port", "auto", "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &authority];
    let server = Spawned::ours(&tls);
    let mut admin = crate::support::client::Client::connect(&server.address).expect("the server is there");
    let about = admin.run("INFO server").to_string();
    let line = about.split("name=tls,").nth(1).expect("a listener for TLS");
    let port: String = line.split("port=").nth(1).expect("its port").chars().take_while(char::is_ascii_digit).collect();

    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "localhost", "-p", &port, "--tls", "--cacert", &authority, "--cert", &file("client.crt")]);
    cli.args(["--key", &file("client.key"), "INCR", "counter"]);
    match cli.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("left out: there is no redis-cli on PATH"),
        Err(error) => panic!("redis-cli: {error}"),
        Ok(run) if String::from_utf8_lossy(&run.stderr).contains("Unrecognized option") => {
            println!("left out: redis-cli was built without TLS");
        }
        Ok(run) => assert_eq!(String::from_utf8_lossy(&run.stdout), "1\n", "{}", String::from_utf8_lossy(&run.stderr)),
    }
    let script = "import sys\ntry:\n import redis\nexcept ImportError:\n sys.exit(77)\n\
                  port, ca, cert, key = sys.argv[1:]\n\
                  r = redis.Redis(host='localhost', port=int(port), ssl=True, ssl_ca_certs=ca, ssl_certfile=cert, ssl_keyfile=key)\n\
                  r.set('greeting', b'x' * 100000)\n\
                  assert r.get('greeting') == b'x' * 100000\n\
                  print(r.ping())\n";
    let arguments = ["-c", script, &port, &authority, &file("client.crt"), &file("client.key")];
    match Command::new("python3").args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("left out: there is no python3 on PATH"),
        Err(error) => panic!("python3: {error}"),
        Ok(run) if run.status.code() == Some(77) => println!("left out: python3 has no redis-py"),
        Ok(run) => assert_eq!(String::from_utf8_lossy(&run.stdout), "True\n", "{}", String::from_utf8_lossy(&run.stderr)),
    }
}

#[test]
fn redis_rs_over_tls() -> redis::RedisResult<()> {
    let (certificates, strangers) = (Certificates::new(), Certificates::new());
    let server = certificates.server().start().expect("it starts");
    let port = server.tls_address().expect("a port").port();
    let connect = |host: &str, shown: &Certificates, trusted: &Certificates| {
        let file = |of: &Certificates, name| std::fs::read(of.file(name)).expect("a certificate");
        let shown = redis::ClientTlsConfig { client_cert: file(shown, "client.crt"), client_key: file(shown, "client.key") };
        let tls = redis::TlsCertificates { client_tls: Some(shown), root_cert: Some(file(trusted, "ca.crt")) };
        redis::Client::build_with_tls(format!("rediss://{host}:{port}/?protocol=resp3"), tls)?.get_connection()
    };
    let mut connection = connect("localhost", &certificates, &certificates)?;
    let long = vec![b'x'; 100_000];
    let (n, kept): (i64, Vec<u8>) =
        redis::pipe().cmd("SET").arg("long").arg(&long).ignore().incr("n", 1).get("long").query(&mut connection)?;
    assert_eq!((n, kept == long), (1, true));
    for (host, shown, trusted, why) in [
        ("localhost", &certificates, &strangers, "it trusts another authority"),
        ("localhost", &strangers, &certificates, "the server trusts another authority"),
        ("127.0.0.2", &certificates, &certificates, "the certificate is for another host"),
    ] {
        assert!(connect(host, shown, trusted).is_err(), "{why}");
    }
    Ok(())
}

#[test]
fn keys_may_need_a_passphrase() {
    let certificates = Certificates::new();
    let plain_key = std::fs::read_to_string(certificates.file("server.key")).expect("a key");
    let secret = PrivateKeyDer::from_pem_slice(plain_key.as_bytes()).expect("a key");
    let parameters = pkcs8::pkcs5::pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"salt and pepper!", &[7; 16]);
    let encrypted = pkcs8::PrivateKeyInfo::try_from(secret.secret_der())
        .and_then(|key| key.encrypt_with_params(parameters.expect("parameters"), "open sesame"))
        .expect("it can be encrypted");
    let text = encrypted.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).expect("text");
    std::fs::write(certificates.file("server.key"), format!("what is before does not matter\n{}", text.as_str()))
        .expect("written");
    let server = certificates.server().set("tls-key-file-pass", "\"open sesame\"").start().expect("it starts");
    let config = certificates.client(Some("client"), BOTH);
    exchange(&mut connect(server.tls_address().expect("a port"), &config, "localhost"), "PING\r\n", "+PONG\r\n");
    let mut admin = plain(server.address());
    let refusal = "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file-pass') - Unable to update TLS configuration. \
                   Check server logs.\r\n";
    exchange(&mut admin, "CONFIG SET tls-key-file-pass wrong\r\n", refusal);
    for (pass, why) in [("\"\"", "the passphrase is wrong"), ("wrong", "the passphrase is wrong")] {
        let refusal = certificates.server().set("tls-key-file-pass", pass).start().err().expect("it cannot start").to_string();
        assert!(refusal.contains(why) && !refusal.contains("sesame"), "{refusal}");
    }
}

#[test]
fn keys_move_over_tls() {
    let certificates = Certificates::new();
    // The name in a node's certificate is not looked at, whoever vouches for it is.
    certificates.issue("elsewhere", &["elsewhere.example"], |_| {});
    let (certificate, key) = (certificates.file("elsewhere.crt"), certificates.file("elsewhere.key"));
    let there = certificates.server().set("tls-cert-file", &certificate).set("tls-key-file", &key).start().expect("it starts");
    let there_port = there.tls_address().expect("a port").port();
    let stranger = Certificates::new();
    let strange = stranger.server().set("tls-auth-clients", "no").start().expect("it starts");
    let strange_port = strange.tls_address().expect("a port").port();
    let client_file = certificates.file("client.crt");
    let here = certificates.server().set("tls-cluster", "yes").start().expect("it starts");
    let mut admin = plain(here.address());
    exchange(&mut admin, "MSET a 1 b 2\r\n", "+OK\r\n");
    exchange(&mut admin, &format!("MIGRATE 127.0.0.1 {strange_port} a 0 2000\r\n"), "-IOERR");
    exchange(&mut admin, "\r\n", " error or timeout writing to target instance\r\n");
    // A server's certificate is not good for clients here, so they get one of their own.
    let set =
        format!("CONFIG SET tls-client-cert-file {client_file} tls-client-key-file {}\r\n", certificates.file("client.key"));
    exchange(&mut admin, &set, "+OK\r\n");
    exchange(&mut admin, &format!("MIGRATE 127.0.0.1 {there_port} a 0 2000\r\n"), "+OK\r\n");
    exchange(&mut admin, &format!("MIGRATE localhost {there_port} b 0 2000\r\n"), "+OK\r\n");
    exchange(&mut admin, "DBSIZE\r\n", ":0\r\n");
    exchange(&mut plain(there.address()), "MGET a b\r\n", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

#[test]
fn a_replica_follows_its_primary_over_tls() {
    let certificates = Certificates::new();
    for diskless in ["yes", "no"] {
        let primary = certificates.server().set("repl-diskless-sync-delay", "0").set("repl-diskless-sync", diskless);
        let primary = primary.start().expect("it starts");
        let mut writer = Client::connect(&Address::Tcp(primary.address())).expect("it is taken");
        writer.run("SETRANGE big 3000000 x");
        let replica =
            certificates.directives().into_iter().fold(certificates.server(), |replica, (name, file)| replica.set(name, &file));
        let follows = format!("127.0.0.1 {}", primary.tls_address().expect("a port").port());
        let replica = replica.set("tls-replication", "yes").set("replicaof", &follows).start().expect("it starts");
        let mut reader = Client::connect(&Address::Tcp(replica.address())).expect("it is taken");
        until(&mut reader, "GETRANGE big 3000000 -1", |end| end == "x");
        writer.run("SETRANGE large 2000000 x");
        writer.run("SET k v");
        assert_eq!(writer.run("WAIT 1 5000").integer(), Some(1), "what is acknowledged travels back");
        assert_eq!((reader.run("GET k").lossy(), reader.run("STRLEN large").integer()), ("v".into(), Some(2_000_001)));
        // The port that it tells is the one for TLS, as a sentinel would ask it over TLS.
        let told = format!(",port={},state=online", replica.tls_address().expect("a port").port());
        assert!(writer.run("INFO replication").lossy().contains(&told));
        writer.run("CLIENT KILL TYPE replica");
        writer.run("SET k w");
        until(&mut reader, "GET k", |value| value == "w");
        assert!(writer.run("INFO stats").lossy().contains("sync_partial_ok:1"));
    }
}

#[test]
fn a_replica_believes_no_stranger_and_says_nothing_in_the_clear() {
    let (certificates, stranger) = (Certificates::new(), Certificates::new());
    let strange = stranger.server().start().expect("it starts");
    // One shows a certificate of another authority, the other speaks no TLS and waits for the rest of a command.
    let ports = [strange.tls_address().expect("a port").port(), strange.address().port()];
    for (port, why) in ports.into_iter().zip(["UnknownIssuer", "Connecting to MASTER"]) {
        let follows = format!("127.0.0.1 {port}");
        let mut args = certificates.args();
        let more = ["--tls-replication", "yes", "--masterauth", "secret", "--repl-timeout", "1", "--replicaof", &follows];
        args.extend(more.map(str::to_owned));
        let replica = Spawned::ours(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let start = std::time::Instant::now();
        while replica.log().matches("Connecting to MASTER").count() < 2 {
            assert!(start.elapsed() < PATIENCE, "{}", replica.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(replica.log().contains(why) && !replica.log().contains("Master replied"), "{}", replica.log());
    }
    let mut admin = Client::connect(&Address::Tcp(strange.address())).expect("it is taken");
    assert!(!admin.run("INFO commandstats").lossy().contains("cmdstat_auth"));
}

#[test]
fn tls_between_servers_needs_certificates_and_an_authority() {
    let server = Server::builder().start().expect("it starts");
    let mut admin = Client::connect(&Address::Tcp(server.address())).expect("it is taken");
    for name in ["tls-replication", "tls-cluster"] {
        let refusal = admin.run(&format!("CONFIG SET {name} yes")).lossy();
        let expected = format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - Unable to update TLS configuration. Check server logs."
        );
        assert_eq!(refusal, expected);
        assert_eq!(admin.run(&format!("CONFIG GET {name}")).items().expect("a pair")[1].lossy(), "no");
        let certificates = Certificates::new();
        let without =
            certificates.server().set("tls-auth-clients", "no").set("tls-ca-cert-file", "\"\"").set(name, "yes").start();
        let refusal = without.err().expect("it has no authority").to_string();
        assert!(refusal.contains("Either tls-ca-cert-file or tls-ca-cert-dir must be specified"), "{refusal}");
    }
}

#[test]
fn nodes_of_a_cluster_talk_over_tls() {
    let certificates = Certificates::new();
    let node = || {
        let port = free_port().expect("a port");
        let mut args = certificates.args();
        let more =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--tls-cluster", "yes", "--tls-replication", "yes"];
        args.extend(more.map(str::to_owned));
        args.extend(["--tls-port".to_owned(), port.to_string()]);
        (Spawned::ours(&args.iter().map(String::as_str).collect::<Vec<_>>()), port)
    };
    let ((a, _), (b, b_port), (c, c_port)) = (node(), node(), node());
    let (mut to_a, mut to_b, mut to_c) = (a.client(), b.client(), c.client());
    // Somebody without a certificate gets no word in.
    let mut stranger = plain(([127, 0, 0, 1], b_port + 10_000).into());
    stranger.write_all(b"RCmb").and_then(|()| stranger.write_all(&[0; 4096])).expect("it is sent");
    let _ = stranger.read_to_end(&mut Vec::new());
    to_a.run("CLUSTER ADDSLOTSRANGE 0 8191");
    to_b.run("CLUSTER ADDSLOTSRANGE 8192 16383");
    for port in [b_port, c_port] {
        assert_eq!(to_a.run(&format!("CLUSTER MEET 127.0.0.1 {port}")).lossy(), "OK");
    }
    for client in [&mut to_a, &mut to_b, &mut to_c] {
        until(client, "CLUSTER INFO", |info| info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3"));
    }
    // A client without TLS is told the ports without.
    assert_eq!(to_a.run("SET foo v").lossy(), format!("MOVED 12182 127.0.0.1:{}", b.port()));
    assert_eq!(to_b.run("SET foo v").lossy(), "OK");
    let mut listener = a.client();
    listener.run("SUBSCRIBE news");
    to_b.run(&format!("PUBLISH news {}", "x".repeat(100_000)));
    assert_eq!(listener.read_within(PATIENCE).expect("a message").items().expect("its parts")[2].lossy().len(), 100_000);
    let id = to_b.run("CLUSTER MYID").lossy();
    assert_eq!(to_c.run(&format!("CLUSTER REPLICATE {id}")).lossy(), "OK");
    until(&mut to_c, "INFO replication", |info| info.contains("master_link_status:up"));
    to_c.run("READONLY");
    until(&mut to_c, "GET foo", |value| value == "v");
}
