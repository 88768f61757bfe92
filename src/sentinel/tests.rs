//! A sentinel whose clock is moved by hand, and who is told by hand what others answer.

use super::reply::Reply;
use super::*;
use crate::config::SentinelLine;

const START: i64 = 1_000_000_000;
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A sentinel with everything that it has ordered and told so far.
struct Bench {
    sentinel: Sentinel,
    now: i64,
    /// Where each connection leads to.
    ports: BTreeMap<ConnectionId, u16>,
    sent: Vec<(u16, String)>,
    events: Vec<(String, String)>,
    /// Ports of those who answer.
    alive: Vec<u16>,
    /// What the promoted replica's role is.
    promoted: Option<u16>,
    /// What servers say in INFO that is not so, or not any more.
    claims: BTreeMap<u16, String>,
    /// For whom other sentinels vote.
    vote: &'static str,
    saves: usize,
}

impl Bench {
    /// Watches one primary at port 1 with replicas at 2 and 3.
    fn new(quorum: u32) -> Bench {
        let mut sentinel = Sentinel::new(START, 7, |_| None);
        sentinel.id = "a".repeat(ID_LEN);
        let primary = sentinel.add_primary("m", "127.0.0.1", 1, quorum).unwrap();
        sentinel.set_down_after(primary, 2000);
        let mut bench = Bench {
            sentinel,
            now: START,
            ports: BTreeMap::new(),
            sent: Vec::new(),
            events: Vec::new(),
            alive: vec![1, 2, 3],
            promoted: None,
            claims: BTreeMap::new(),
            vote: "*",
            saves: 0,
        };
        bench.run(2500);
        bench
    }

    /// Lets time pass.
    fn run(&mut self, millis: i64) {
        for _ in 0..millis / 100 {
            self.now += 100;
            self.sentinel.set_now(self.now);
            self.sentinel.tick();
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        loop {
            let effects = self.sentinel.take_effects();
            if effects.is_empty() {
                return;
            }
            self.saves += usize::from(effects.save);
            self.events.extend(effects.events.into_iter().map(|event| (event.name.to_owned(), event.text)));
            for order in effects.orders {
                match order {
                    Order::Connect { connection, port, .. } if self.alive.contains(&port) => {
                        self.ports.insert(connection, port);
                        self.sentinel.connected(connection, "127.0.0.1".into());
                    }
                    Order::Connect { connection, .. } => self.sentinel.lost(connection),
                    Order::Send { connection, request } => {
                        let Some(port) = self.ports.get(&connection).copied() else { continue };
                        let request = String::from_utf8_lossy(&request).into_owned();
                        let words: Vec<&str> = request.split("\r\n").skip(2).step_by(2).collect();
                        let text = words.join(" ");
                        if let Some(reply) = self.answer(port, &text) {
                            self.sentinel.received(connection, reply);
                        }
                        self.sent.push((port, text));
                    }
                    Order::Close(connection) => drop(self.ports.remove(&connection)),
                    Order::Run { .. } | Order::Kill(_) => {}
                }
            }
        }
    }

    fn answer(&mut self, port: u16, request: &str) -> Option<Reply> {
        if !self.alive.contains(&port) {
            return None;
        }
        Some(match request {
            "PING" => Reply::Status(b"PONG".to_vec()),
            "SLAVEOF NO ONE" => {
                self.promoted = Some(port);
                Reply::Status(b"QUEUED".to_vec())
            }
            "INFO" if self.claims.contains_key(&port) => Reply::Bulk(self.claims[&port].clone().into_bytes()),
            "INFO" => {
                let leader = self.promoted.unwrap_or(1);
                let run_id = format!("{port:040}");
                let text = match port {
                    _ if port != leader => format!(
                        "run_id:{run_id}\r\nrole:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:{leader}\r\nmaster_link_status:up\r\n\
                         slave_priority:100\r\nslave_repl_offset:{}\r\n",
                        port * 10
                    ),
                    1 => {
                        let replica = |n: u16| format!("slave{n}:ip=127.0.0.1,port={},state=online\r\n", n + 2);
                        format!("run_id:{run_id}\r\nrole:master\r\n{}{}", replica(0), replica(1))
                    }
                    _ => format!("run_id:{run_id}\r\nrole:master\r\n"),
                };
                Reply::Bulk(text.into_bytes())
            }
            _ => match request.strip_prefix("SENTINEL is-master-down-by-addr 127.0.0.1 1 ") {
                Some(rest) => {
                    let epoch = rest.split(' ').next().and_then(|epoch| epoch.parse().ok()).unwrap();
                    Reply::Array(vec![Reply::Integer(1), Reply::Bulk(self.vote.into()), Reply::Integer(epoch)])
                }
                None => Reply::Status(b"OK".to_vec()),
            },
        })
    }

    fn told(&self, name: &str) -> Vec<&str> {
        self.events.iter().filter(|(event, _)| event == name).map(|(_, text)| &**text).collect()
    }

    fn primary(&self) -> InstanceId {
        self.sentinel.find(b"m").unwrap()
    }

    fn address(&self) -> u16 {
        self.sentinel.current_address(self.primary()).port
    }

    fn hello(&mut self, text: &str) {
        self.sentinel.greeted(text.as_bytes());
        self.carry_out();
    }
}

#[test]
fn replicas_are_found_and_a_primary_that_is_silent_is_replaced_by_the_best() {
    let mut bench = Bench::new(1);
    assert_eq!(
        bench.told("+slave"),
        ["slave 127.0.0.1:2 127.0.0.1 2 @ m 127.0.0.1 1", "slave 127.0.0.1:3 127.0.0.1 3 @ m 127.0.0.1 1"]
    );
    bench.alive = vec![2, 3];
    bench.run(1500);
    assert!(bench.told("+sdown").is_empty());
    bench.run(8000);
    assert_eq!(bench.told("+odown"), ["master m 127.0.0.1 1 #quorum 1/1"]);
    // Port 3 has more of the data.
    assert_eq!(bench.told("+selected-slave"), ["slave 127.0.0.1:3 127.0.0.1 3 @ m 127.0.0.1 1"]);
    assert_eq!(bench.told("+switch-master"), ["m 127.0.0.1 1 127.0.0.1 3"]);
    assert_eq!(bench.address(), 3);
    let to_best: Vec<&str> = bench.sent.iter().filter(|(port, _)| *port == 3).map(|(_, text)| &**text).collect();
    let start = to_best.iter().position(|text| *text == "MULTI").unwrap();
    let rest = ["SLAVEOF NO ONE", "CONFIG REWRITE", "CLIENT KILL TYPE normal", "CLIENT KILL TYPE pubsub", "EXEC"];
    assert_eq!(to_best[start + 1..start + 6], rest);
    assert!(bench.sent.contains(&(2, "SLAVEOF 127.0.0.1 3".into())));
    let replicas = &bench.sentinel.watched(bench.primary()).replicas;
    let ports: Vec<u16> = replicas.iter().map(|id| bench.sentinel.at(*id).address.port).collect();
    assert_eq!(ports, [2, 1]);
}

#[test]
fn without_the_others_nobody_acts() {
    let mut bench = Bench::new(2);
    bench.hello(&format!("127.0.0.1,9,{OTHER},0,m,127.0.0.1,1,0"));
    assert_eq!(bench.told("+sentinel"), [format!("sentinel {OTHER} 127.0.0.1 9 @ m 127.0.0.1 1")]);
    bench.alive = vec![2, 3];
    bench.run(10_000);
    assert_eq!(bench.told("+sdown").len(), 2);
    assert!(bench.told("+odown").is_empty() && bench.told("+try-failover").is_empty());
    let quorum = bench.sentinel.quorum(bench.primary());
    assert_eq!((quorum.usable, quorum.agree, quorum.elect), (1, false, false));
}

#[test]
fn a_vote_is_given_once_in_an_epoch() {
    let mut bench = Bench::new(2);
    let vote = |bench: &mut Bench, epoch, candidate| bench.sentinel.verdict("127.0.0.1", 1, epoch, Some(candidate));
    let before = bench.saves;
    assert_eq!(vote(&mut bench, 5, OTHER), (false, Some(OTHER.into()), 5));
    bench.carry_out();
    assert!(bench.saves > before, "a vote is kept before it is told");
    assert_eq!(vote(&mut bench, 5, "c"), (false, Some(OTHER.into()), 5));
    assert_eq!(vote(&mut bench, 4, "c"), (false, Some(OTHER.into()), 5));
    assert_eq!(vote(&mut bench, 6, "c"), (false, Some("c".into()), 6));
    assert_eq!(bench.sentinel.verdict("127.0.0.1", 7, 9, Some("c")), (false, None, 0));
    assert_eq!(bench.sentinel.epoch, 6);
}

#[test]
fn a_newer_address_is_taken_over() {
    let mut bench = Bench::new(2);
    bench.hello(&format!("127.0.0.1,9,{OTHER},4,m,127.0.0.1,3,4"));
    assert_eq!((bench.address(), bench.sentinel.epoch), (3, 4));
    assert_eq!(bench.told("+config-update-from").len(), 1);
    bench.hello(&format!("127.0.0.1,9,{OTHER},4,m,127.0.0.1,2,4"));
    assert_eq!(bench.address(), 3, "of the same epoch");
    bench.hello(&format!("127.0.0.1,10,{OTHER},4,m,127.0.0.1,3,4"));
    assert_eq!(bench.told("+sentinel-address-switch").len(), 1);
    for bad in ["", ",,,,,,,", "a,b", &format!("x,99999,{OTHER},-1,m,y,-5,99"), &format!("127.0.0.1,70000,{OTHER},1,m,1,1,1")] {
        bench.hello(bad);
    }
    assert_eq!(bench.address(), 3);
}

#[test]
fn the_lines_of_the_file_bring_all_of_it_back() {
    let mut bench = Bench::new(2);
    bench.hello(&format!("127.0.0.1,9,{OTHER},4,m,127.0.0.1,3,4"));
    let lines = bench.sentinel.lines();
    let mut again = Sentinel::new(START, 1, |_| None);
    again.read(&lines).unwrap();
    assert_eq!(again.lines(), lines);
    assert_eq!((&again.id, again.epoch), (&bench.sentinel.id, 4));
}

#[test]
fn bad_lines_are_refused() {
    for (line, reason) in [
        ("monitor m 127.0.0.1 1 0", "Quorum must be 1 or greater."),
        ("monitor m nowhere 1 1", "Can't resolve instance hostname."),
        ("monitor m 127.0.0.1 99999 1", "Invalid port number."),
        ("parallel-syncs x 1", "No such master with specified name."),
        ("myid 12", "Malformed Sentinel id in myid option."),
        ("frob 1", "Unrecognized sentinel configuration statement."),
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let refused = Sentinel::new(START, 1, |_| None).read(&[SentinelLine::new(&words, false)]);
        assert_eq!(refused, Err(BadLine { at: 0, reason: reason.into() }), "{line}");
    }
}

#[test]
fn time_that_leaps_stops_all_acting_for_a_while() {
    let mut bench = Bench::new(1);
    bench.alive = vec![2, 3];
    bench.now += 60_000;
    bench.run(10_000);
    assert_eq!(bench.told("+tilt").len(), 1);
    assert!(bench.told("+sdown").is_empty());
    bench.run(25_000);
    assert_eq!(bench.told("-tilt").len(), 1);
    assert!(!bench.told("+sdown").is_empty());
}

#[test]
fn a_replica_that_never_becomes_a_primary_ends_the_failover() {
    let mut bench = Bench::new(1);
    let stays = "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1\r\nslave_priority:1\r\n";
    bench.claims.insert(2, stays.into());
    bench.run(12_000);
    bench.alive = vec![2, 3];
    bench.run(10_000);
    assert_eq!(bench.told("+failover-state-wait-promotion"), ["slave 127.0.0.1:2 127.0.0.1 2 @ m 127.0.0.1 1"]);
    assert!(bench.told("-failover-abort-slave-timeout").is_empty());
    bench.run(180_000);
    assert_eq!(bench.told("-failover-abort-slave-timeout"), ["master m 127.0.0.1 1"]);
    assert_eq!((bench.address(), bench.told("+try-failover").len()), (1, 1));
    // Twice the time of a failover after it began the next one does.
    bench.run(185_000);
    assert_eq!(bench.told("+try-failover").len(), 2);
}

#[test]
fn who_is_not_elected_does_not_act() {
    let mut bench = Bench::new(1);
    for port in [9, 10] {
        bench.hello(&format!("127.0.0.1,{port},{},0,m,127.0.0.1,1,0", port.to_string().repeat(40)));
    }
    bench.vote = OTHER;
    bench.alive = vec![2, 3, 9, 10];
    bench.run(8000);
    assert_eq!((bench.told("+try-failover").len(), bench.told("+elected-leader").len()), (1, 0));
    bench.run(10_000);
    assert_eq!(bench.told("-failover-abort-not-elected"), ["master m 127.0.0.1 1"]);
    assert!(!bench.sent.iter().any(|(_, text)| text.starts_with("SLAVEOF")));
    // The votes of others for it would have done.
    let mut bench = Bench::new(1);
    for port in [9, 10] {
        bench.hello(&format!("127.0.0.1,{port},{},0,m,127.0.0.1,1,0", port.to_string().repeat(40)));
    }
    bench.vote = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    bench.alive = vec![2, 3, 9, 10];
    bench.run(8000);
    assert_eq!((bench.told("+elected-leader").len(), bench.address()), (1, 3));
}

#[test]
fn a_replica_that_somebody_promoted_or_turned_elsewhere_is_taken_back() {
    let mut bench = Bench::new(1);
    bench.claims.insert(2, "role:master\r\n".into());
    bench.claims.insert(3, "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:77\r\n".into());
    bench.run(15_000);
    assert!(bench.told("+convert-to-slave").is_empty(), "there may be a reason that will be heard of");
    bench.run(20_000);
    assert_eq!(bench.told("+convert-to-slave")[0], "slave 127.0.0.1:2 127.0.0.1 2 @ m 127.0.0.1 1");
    assert!(bench.sent.contains(&(2, "SLAVEOF 127.0.0.1 1".into())));
    assert!(bench.told("+fix-slave-config").is_empty());
    bench.run(180_000);
    assert_eq!(bench.told("+fix-slave-config")[0], "slave 127.0.0.1:3 127.0.0.1 3 @ m 127.0.0.1 1");
    assert!(bench.sent.contains(&(3, "SLAVEOF 127.0.0.1 1".into())));
}

#[test]
fn a_primary_that_started_anew_is_told_of_and_counts_as_down_if_it_loads_for_long() {
    let mut bench = Bench::new(1);
    let primary = bench.primary();
    bench.sentinel.watched_mut(primary).reboot_down_after = 5000;
    bench.claims.insert(1, format!("run_id:{:040}\r\nrole:master\r\n", 4711));
    bench.run(12_000);
    assert_eq!(bench.told("+reboot"), ["master m 127.0.0.1 1"]);
    assert!(bench.told("+sdown").is_empty(), "it answers PING with PONG");
}

#[test]
fn numbers_at_their_limits_stop_nothing() {
    let mut bench = Bench::new(1);
    let largest = i64::MAX.to_string();
    for name in ["down-after-milliseconds", "failover-timeout", "master-reboot-down-after-period"] {
        let words: [&[u8]; 3] = [name.as_bytes(), b"m", largest.as_bytes()];
        bench.sentinel.read(&[SentinelLine::new(&words, false)]).unwrap();
    }
    for (_, period) in bench.sentinel.periods.all() {
        *period = MILLIS_MAX;
    }
    bench.sentinel.verdict("127.0.0.1", 1, u64::MAX, Some(OTHER));
    bench.run(20_000);
    let primary = bench.primary();
    let _ = bench.sentinel.force_failover(primary);
    bench.run(5000);
    bench.hello(&format!("127.0.0.1,9,{OTHER},{largest},m,127.0.0.1,3,{largest}"));
    bench.run(5000);
    assert_eq!(bench.sentinel.epoch, u64::MAX);
}
