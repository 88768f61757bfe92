//! Sentinels as processes: they find one another, replace a primary that is gone, keep what they know, and answer as clients of
//! theirs expect.

use crate::support::certificates::Certificates;
use crate::support::client::{Address, Client, SETTLE_MAX, until};
use crate::support::spawn::{Server, free_port};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A sentinel that ends with this handle.
struct Sentinel {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Sentinel {
    fn start(lines: &str) -> Sentinel {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("redstart-sentinel-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("s.conf"), format!("port {port}\nlogfile log\n{lines}")).unwrap();
        let child = Sentinel::spawn(&folder);
        Sentinel { child, folder, port }
    }

    fn spawn(folder: &PathBuf) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redstart"));
        command.args(["s.conf", "--sentinel"]).current_dir(folder).stdout(Stdio::null()).spawn().unwrap()
    }

    fn client(&self) -> Client {
        let (address, start) = (Address::Tcp(([127, 0, 0, 1], self.port).into()), Instant::now());
        loop {
            match Client::connect(&address) {
                Ok(client) => return client,
                Err(error) => assert!(start.elapsed() < SETTLE_MAX, "no connection: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.folder.join("s.conf")).unwrap()
    }

    fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = Sentinel::spawn(&self.folder);
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_primary_that_is_gone_is_replaced_and_all_hear_of_it() {
    let primary = Server::ours(&[]);
    let old = primary.port();
    let replicaof = format!("127.0.0.1 {old}");
    let replica = Server::ours(&["--replicaof", &replicaof]);
    until(&mut replica.client(), "INFO replication", |info| info.contains("master_link_status:up"));
    let lines = format!(
        "sentinel monitor m 127.0.0.1 {old} 2\nsentinel down-after-milliseconds m 500\nsentinel failover-timeout m 5000\n"
    );
    let mut sentinels = [Sentinel::start(&lines), Sentinel::start(&lines), Sentinel::start(&lines)];
    let mut clients: Vec<Client> = sentinels.iter().map(Sentinel::client).collect();
    for client in &mut clients {
        let others = |info: &str| info.contains("slaves=1,sentinels=3");
        until(client, "INFO sentinel", others);
    }
    until(&mut clients[0], "SENTINEL CKQUORUM m", |reply| reply.starts_with("OK 3 usable"));
    assert_eq!(clients[0].run("SENTINEL REPLICAS m").items().unwrap().len(), 1);
    assert_eq!(clients[0].run("SENTINEL SLAVES m").items().unwrap().len(), 1);
    assert_eq!(clients[0].run("SENTINEL SENTINELS m").items().unwrap().len(), 2);
    let mut listener = sentinels[0].client();
    listener.run("SUBSCRIBE +switch-master");
    drop(primary);
    for client in &mut clients {
        let start = Instant::now();
        let new = loop {
            let address = client.run("SENTINEL GET-MASTER-ADDR-BY-NAME m");
            let port = address.items().unwrap()[1].lossy();
            if port != old.to_string() {
                break port;
            }
            assert!(start.elapsed() < SETTLE_MAX, "nobody took over");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(new, replica.port().to_string());
    }
    let message = listener.read_within(SETTLE_MAX).unwrap().items().unwrap()[2].lossy();
    assert_eq!(message, format!("m 127.0.0.1 {old} 127.0.0.1 {}", replica.port()));
    until(&mut replica.client(), "INFO replication", |info| info.contains("role:master"));
    // What it knows outlives it.
    sentinels[1].restart();
    let address = sentinels[1].client().run("SENTINEL GET-MASTER-ADDR-BY-NAME m");
    assert_eq!(address.items().unwrap()[1].lossy(), replica.port().to_string());
    assert_eq!(sentinels[1].file().matches("sentinel known-sentinel m ").count(), 2);
}

#[test]
fn a_primary_is_watched_and_replaced_over_tls() {
    let certificates = Certificates::new();
    let server = |more: &[&str]| {
        let port = free_port().unwrap();
        let mut args = certificates.args();
        args.extend(["--tls-replication", "yes", "--tls-port", &port.to_string()].map(str::to_owned));
        args.extend(more.iter().map(|word| (*word).to_owned()));
        (Server::ours(&args.iter().map(String::as_str).collect::<Vec<_>>()), port)
    };
    let (primary, old) = server(&[]);
    let (replica, new) = server(&["--replicaof", &format!("127.0.0.1 {old}")]);
    let mut lines =
        format!("tls-replication yes\nsentinel monitor m 127.0.0.1 {old} 1\nsentinel down-after-milliseconds m 500\n");
    for (name, file) in certificates.directives() {
        lines += &format!("{name} {file}\n");
    }
    let sentinel = Sentinel::start(&lines);
    let mut client = sentinel.client();
    until(&mut client, "INFO sentinel", |info| info.contains("status=ok") && info.contains("slaves=1"));
    until(&mut replica.client(), "INFO replication", |info| info.contains("master_link_status:up"));
    drop(primary);
    until(&mut client, "INFO sentinel", |info| info.contains(&format!("address=127.0.0.1:{new}")));
    until(&mut replica.client(), "INFO replication", |info| info.contains("role:master"));
}

#[test]
fn a_script_is_told_of_events() {
    use std::os::unix::fs::PermissionsExt;
    let primary = Server::ours(&[]);
    let folder = std::env::temp_dir().join(format!("redstart-script-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (script, told) = (folder.join("tell.sh"), folder.join("told"));
    std::fs::write(&script, format!("#!/bin/sh\necho \"$@\" >> {}\n", told.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let lines = format!(
        "sentinel monitor m 127.0.0.1 {} 1\nsentinel down-after-milliseconds m 300\nsentinel notification-script m {}\n",
        primary.port(),
        script.display()
    );
    let sentinel = Sentinel::start(&lines);
    let mut client = sentinel.client();
    until(&mut client, "INFO sentinel", |info| info.contains("status=ok"));
    let port = primary.port();
    drop(primary);
    let (start, wanted) = (Instant::now(), format!("+sdown master m 127.0.0.1 {port}\n"));
    while !std::fs::read_to_string(&told).is_ok_and(|told| told.contains(&wanted)) {
        assert!(start.elapsed() < SETTLE_MAX, "{:?}", std::fs::read_to_string(&told));
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn commands_of_a_sentinel_and_no_others() {
    let server = Server::ours(&[]);
    let sentinel = Sentinel::start("sentinel deny-scripts-reconfig no\n");
    let mut client = sentinel.client();
    let port = server.port();
    let mut check = |request: &str, wanted: &str| assert_eq!(client.run(request).lossy(), wanted, "{request}");
    check(&format!("SENTINEL MONITOR m 127.0.0.1 {port} 1"), "OK");
    check(&format!("SENTINEL MONITOR m 127.0.0.1 {port} 1"), "ERR Duplicate master name.");
    check("SENTINEL MONITOR n 127.0.0.1 1 0", "ERR Quorum must be 1 or greater.");
    check("SENTINEL MONITOR n nowhere 1 1", "ERR Invalid IP address or hostname specified");
    check("SENTINEL MASTER x", "ERR No such master with that name");
    check("SENTINEL SET m parallel-syncs 3 auth-user u", "OK");
    check("SENTINEL SET m quorum x", "ERR Invalid argument 'x' for SENTINEL SET 'quorum'");
    check("SENTINEL SET m frob 1", "ERR Unknown option or number of arguments for SENTINEL SET 'frob'");
    check("SENTINEL CONFIG SET announce-port 7777", "OK");
    check("SENTINEL CONFIG SET announce-port 77777", "ERR Invalid value '77777' to SENTINEL CONFIG SET 'announce-port'");
    check("SENTINEL DEBUG info-period 500", "OK");
    check("SENTINEL DEBUG info-period 0", "ERR Invalid argument '0' for SENTINEL DEBUG 'info-period'");
    check("SENTINEL FAILOVER m", "NOGOODSLAVE No suitable replica to promote");
    check("SENTINEL SIMULATE-FAILURE frob", "ERR Unknown failure simulation specified");
    check("SENTINEL FLUSHCONFIG", "OK");
    check("PUBLISH x y", "ERR Only HELLO messages are accepted by Sentinel instances.");
    assert_eq!(client.run("PUBLISH __sentinel__:hello nonsense").integer(), Some(1));
    assert!(client.run("GET x").lossy().starts_with("ERR unknown command"));
    assert!(client.run("CONFIG GET x").lossy().starts_with("ERR unknown command"));
    assert!(client.run("CLIENT NO-TOUCH on").lossy().starts_with("ERR unknown subcommand"));
    assert_eq!(client.run("ROLE").items().unwrap()[0].lossy(), "sentinel");
    assert_eq!(client.run("SENTINEL MYID").lossy().len(), 40);
    assert_eq!(client.run("SENTINEL MASTERS").items().unwrap().len(), 1);
    assert_eq!(client.run("SENTINEL PENDING-SCRIPTS").items().unwrap().len(), 0);
    assert_eq!(client.run("SENTINEL INFO-CACHE m").items().unwrap().len(), 2);
    assert!(client.run("SENTINEL HELP").items().unwrap().len() > 10);
    let request = format!("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 {port} 0 *");
    assert_eq!(client.run(&request).items().unwrap()[0].integer(), Some(0));
    let file = sentinel.file();
    for line in ["sentinel parallel-syncs m 3\n", "sentinel auth-user m u\n", "sentinel announce-port 7777\n"] {
        assert!(file.contains(line), "{file}");
    }
    assert_eq!(client.run("SENTINEL RESET *").integer(), Some(1));
    assert_eq!(client.run("SENTINEL REMOVE m").lossy(), "OK");
    assert!(!sentinel.file().contains("sentinel monitor"));
}
