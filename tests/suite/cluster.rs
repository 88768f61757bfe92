//! Nodes of a cluster that talk to one another, as processes: they meet, tell of their slots, publish for each other, move keys,
//! follow one another, find out who is gone, and stand in for those.

use crate::support::client::{SETTLE_MAX, until};
use crate::support::spawn::Server;
use std::time::{Duration, Instant};

fn node() -> Server {
    Server::ours(&["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"])
}

fn is_ok(info: &str) -> bool {
    info.contains("cluster_state:ok")
}

/// Makes nodes know one another and gives the first ones equal shares of the slots; their names.
fn join(nodes: &[&Server], shares: u32) -> Vec<String> {
    let mut first = nodes[0].client();
    for other in &nodes[1..] {
        first.run(&format!("CLUSTER MEET 127.0.0.1 {}", other.port()));
    }
    let mut names = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let (mut client, at) = (node.client(), at as u32);
        if at < shares {
            let (from, to) = (16384 * at / shares, 16384 * (at + 1) / shares - 1);
            assert_eq!(client.run(&format!("CLUSTER ADDSLOTSRANGE {from} {to}")).lossy(), "OK");
        }
        names.push(client.run("CLUSTER MYID").lossy());
    }
    let known = format!("cluster_known_nodes:{}\r\n", nodes.len());
    for node in nodes {
        let is_settled = |info: &str| is_ok(info) && info.contains(&known);
        until(&mut node.client(), "CLUSTER INFO", is_settled);
    }
    names
}

#[test]
fn two_nodes_share_the_slots() {
    let (a, b) = (node(), node());
    let names = join(&[&a, &b], 2);
    let (mut to_a, mut to_b) = (a.client(), b.client());
    // Slot 12182 is the second node's, slot 5061 the first's.
    assert_eq!(to_a.run("SET foo v").lossy(), format!("MOVED 12182 127.0.0.1:{}", b.port()));
    assert_eq!(to_b.run("SET foo v").lossy(), "OK");
    let mut listener = a.client();
    listener.run("SUBSCRIBE news");
    to_b.run("PUBLISH news hello");
    assert_eq!(listener.read().unwrap().items().unwrap()[2].lossy(), "hello");
    // A slot moves with its key.
    to_a.run(&format!("CLUSTER SETSLOT 12182 IMPORTING {}", names[1]));
    to_b.run(&format!("CLUSTER SETSLOT 12182 MIGRATING {}", names[0]));
    assert_eq!(to_b.run(&format!("MIGRATE 127.0.0.1 {} foo 0 5000", a.port())).lossy(), "OK");
    assert_eq!(to_b.run("GET foo").lossy(), format!("ASK 12182 127.0.0.1:{}", a.port()));
    for client in [&mut to_a, &mut to_b] {
        assert_eq!(client.run(&format!("CLUSTER SETSLOT 12182 NODE {}", names[0])).lossy(), "OK");
    }
    assert_eq!(to_a.run("GET foo").lossy(), "v");
    // Who is gone is missed.
    drop(b);
    until(&mut to_a, "CLUSTER INFO", |info| info.contains("cluster_state:fail"));
}

/// redis-py takes the connection to a node and the one from it for neighbours.
#[test]
fn links_come_in_pairs() {
    let (a, b, c) = (node(), node(), node());
    join(&[&a, &b, &c], 3);
    let (mut client, start) = (a.client(), Instant::now());
    loop {
        let reply = client.run("CLUSTER LINKS");
        let links = reply.items().unwrap().iter().map(|link| link.items().unwrap());
        let links: Vec<_> = links.map(|fields| (fields[1].lossy(), fields[3].lossy())).collect();
        if links.len() == 4 {
            for pair in links.chunks(2) {
                assert_eq!((&*pair[0].0, &*pair[1].0, &pair[0].1), ("to", "from", &pair[1].1));
            }
            return;
        }
        assert!(start.elapsed() < SETTLE_MAX, "there are {} links", links.len());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn messages_of_one_kind_are_dropped_when_a_test_asks_for_it() {
    let (a, b) = (Server::ours(&["--cluster-enabled", "yes", "--enable-debug-command", "yes"]), node());
    let mut to_a = a.client();
    assert!(to_a.run("DEBUG DROP-CLUSTER-PACKET-FILTER x").lossy().starts_with("ERR value is not an integer"));
    // 2 is MEET.
    assert_eq!(to_a.run("DEBUG DROP-CLUSTER-PACKET-FILTER 2").lossy(), "OK");
    let meet = format!("CLUSTER MEET 127.0.0.1 {}", a.port());
    b.client().run(&meet);
    a.log_with("Packet that matches debug drop filter", SETTLE_MAX);
    assert!(to_a.run("CLUSTER INFO").lossy().contains("cluster_known_nodes:1\r\n"));
    assert_eq!(to_a.run("DEBUG DROP-CLUSTER-PACKET-FILTER -1").lossy(), "OK");
    // The handshake that nobody answered has to be given up first.
    until(&mut to_a, "CLUSTER INFO", |info| {
        b.client().run(&meet);
        std::thread::sleep(Duration::from_millis(50));
        info.contains("cluster_known_nodes:2\r\n")
    });
}

#[test]
fn a_replica_takes_its_primarys_place() {
    let (a, b, c, replica) = (node(), node(), node(), node());
    let names = join(&[&a, &b, &c, &replica], 3);
    a.client().run("SET bar v");
    let mut follower = replica.client();
    assert_eq!(follower.run(&format!("CLUSTER REPLICATE {}", names[0])).lossy(), "OK");
    until(&mut follower, "INFO replication", |info| info.contains("master_link_status:up"));
    follower.run("READONLY");
    until(&mut follower, "GET bar", |value| value == "v");
    // Subscribers at a replica heard each message twice: over the bus, and with the history.
    let mut listener = replica.client();
    listener.run("SUBSCRIBE news");
    for message in ["one", "two"] {
        a.client().run(&format!("PUBLISH news {message}"));
        a.client().run("SET bar v");
        assert_eq!(listener.read_within(SETTLE_MAX).unwrap().items().unwrap()[2].lossy(), message);
    }
    drop(a);
    until(&mut follower, "INFO replication", |info| info.contains("role:master"));
    until(&mut b.client(), "CLUSTER INFO", is_ok);
    until(&mut b.client(), "GET bar", |moved| moved == format!("MOVED 5061 127.0.0.1:{}", replica.port()));
    assert_eq!(follower.run("GET bar").lossy(), "v");
}

#[test]
fn a_primary_hands_over_when_asked() {
    let (a, b, c, replica) = (node(), node(), node(), node());
    let names = join(&[&a, &b, &c, &replica], 3);
    let mut follower = replica.client();
    follower.run(&format!("CLUSTER REPLICATE {}", names[0]));
    until(&mut follower, "INFO replication", |info| info.contains("master_link_status:up"));
    assert_eq!(until(&mut follower, "CLUSTER FAILOVER", |reply| reply == "OK"), "OK");
    until(&mut follower, "INFO replication", |info| info.contains("role:master"));
    until(&mut a.client(), "INFO replication", |info| info.contains("role:slave"));
    until(&mut a.client(), "INFO replication", |info| info.contains("master_link_status:up"));
}

#[test]
fn a_replica_moves_to_a_primary_that_lost_its_own() {
    let mut nodes: Vec<Server> = (0..6).map(|_| node()).collect();
    let names = join(&nodes.iter().collect::<Vec<_>>(), 3);
    nodes[1].client().run("SET hey v");
    for (replica, primary) in [(3, 0), (4, 0), (5, 1)] {
        let mut follower = nodes[replica].client();
        assert_eq!(follower.run(&format!("CLUSTER REPLICATE {}", names[primary])).lossy(), "OK");
        until(&mut follower, "INFO replication", |info| info.contains("master_link_status:up"));
    }
    // The two that may move have to know of the one that will be missed, and of each other.
    for replica in [3, 4] {
        let knows = |told: &str| {
            told.matches(&format!("slave {}", names[0])).count() == 2 && told.contains(&format!("slave {}", names[1]))
        };
        until(&mut nodes[replica].client(), "CLUSTER NODES", knows);
    }
    drop(nodes.remove(5));
    let mover = if names[3] < names[4] { 3 } else { 4 };
    let port = format!("master_port:{}", nodes[1].port());
    let mut follower = nodes[mover].client();
    until(&mut follower, "INFO replication", |info| info.contains(&port) && info.contains("master_link_status:up"));
    follower.run("READONLY");
    assert_eq!(follower.run("GET hey").lossy(), "v");
    let migrates = format!("Migrating to orphaned master {}", names[1]);
    assert!(nodes[mover].log_with(&migrates, SETTLE_MAX).contains(&migrates));
    until(&mut nodes[0].client(), "INFO replication", |info| info.contains("connected_slaves:1"));
}
