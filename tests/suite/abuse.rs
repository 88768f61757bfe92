//! Clients that behave badly, against the built binary: the others notice nothing, and memory stays within the limits.
//!
//! `REDSTART_ABUSE=full` plays them at full size, several times, and tells how long a GET of another client took meanwhile, beside
//! how long it takes in a quiet server. Those who abuse it step back for the other client, as if they were on machines of their
//! own. On two cores, with one for the server and one for its clients, both before whatever else the machine does:
//! `REDSTART_ABUSE=full REDSTART_OURS="taskset -c 0 target/release/redstart" chrt -f 5 taskset -c 1
//! target/release/deps/suite-… abuse --nocapture --test-threads 1`.

use crate::support::client::Client;
use crate::support::env;
use crate::support::reply::Reply;
use crate::support::spawn::Server;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

fn ok() -> Reply {
    Reply::Simple(b"OK".to_vec())
}

/// A size in the usual run of the tests, and at full size.
fn size(usual: usize, full: usize) -> usize {
    if env("REDSTART_ABUSE").is_some_and(|value| value == "full") { full } else { usual }
}

/// How often each test plays its part.
fn rounds() -> usize {
    size(1, 4)
}

/// Has this thread, and those that it starts, run behind others at full size. Without the tools for it they do not.
fn step_back() {
    if size(0, 1) == 1
        && let Ok(thread) = std::fs::read_link("/proc/thread-self")
        && let Some(thread) = thread.file_name()
    {
        for tool in [&["chrt", "-o", "-p", "0"][..], &["renice", "-n", "19", "-p"]] {
            let _ = std::process::Command::new(tool[0]).args(&tool[1..]).arg(thread).output();
        }
    }
}

/// A client that does nothing wrong, and what it notices.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Bystander {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = server.client();
        client.run("SET bystander here");
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut waits = Vec::new();
            while waits.is_empty() || !told.load(Ordering::Relaxed) {
                let start = Instant::now();
                assert_eq!(client.run("GET bystander"), bulk("here"));
                waits.push(start.elapsed());
                std::thread::sleep(Duration::from_micros(500));
            }
            waits
        });
        Bystander { stop, thread }
    }

    /// How long the slowest of the best 99 % of its requests took.
    fn p99(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut waits = self.thread.join().expect("the bystander was served to the end");
        waits.sort();
        waits[waits.len() * 99 / 100]
    }
}

/// Runs `abuse` while a bystander looks on; at full size again and again, for as long as it takes to see what is rare.
fn beside_a_bystander(server: &Server, what: &str, mut abuse: impl FnMut(&Server) + Send) {
    let least = Duration::from_millis(size(0, 3000) as u64);
    let quiet = Bystander::start(server);
    std::thread::sleep(Duration::from_millis(size(50, 2000) as u64));
    let quiet = quiet.p99();
    let bystander = Bystander::start(server);
    let play = || {
        step_back();
        let (start, mut times) = (Instant::now(), 0);
        while times == 0 || start.elapsed() < least {
            abuse(server);
            times += 1;
        }
        start.elapsed() / times
    };
    let took = std::thread::scope(|scope| scope.spawn(play).join()).expect("it was played to the end");
    let p99 = bystander.p99();
    let ratio = p99.as_secs_f64() / quiet.as_secs_f64();
    println!("{what}: {took:?}; p99 of another client {p99:?}, in a quiet server {quiet:?}: {ratio:.2}");
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: never");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_subscriber_that_never_reads_is_cut_off_alone() {
    for threads in ["1", "3"].repeat(rounds()) {
        let server = Server::ours(&["--client-output-buffer-limit", "pubsub 4mb 0 0", "--io-threads", threads]);
        let messages = size(2000, 20_000);
        let before = server.client().figure("used_memory");
        let (mut cut_off, mut last) = (0, None);
        beside_a_bystander(&server, "a subscriber that never reads", |server| {
            // Those of the time before would be cut off as well, now that nobody reads for them.
            last = None;
            let (mut lazy, mut keen) = (server.client(), server.client());
            lazy.run("SUBSCRIBE flood");
            keen.run("SUBSCRIBE flood");
            let reader = std::thread::spawn(move || {
                (0..messages).for_each(|_| {
                    keen.read().expect("a message");
                });
                keen
            });
            let (mut publisher, text) = (server.client(), vec![b'x'; 10_000]);
            for _ in 0..messages {
                publisher.call(&[&b"PUBLISH"[..], b"flood", &text]).expect("published");
            }
            cut_off += 1;
            let disconnections = || server.client().figure("client_output_buffer_limit_disconnections");
            wait_until("it is cut off", || disconnections() == cut_off);
            last = Some((lazy, reader.join().expect("it got all messages")));
        });
        // Limit, one turn's messages, and what the allocator keeps at hand.
        let peak = server.client().figure("used_memory_peak");
        assert!(peak < before + (16 << 20), "{peak}");
        wait_until("those before are gone", || server.client().run("PUBLISH flood last") == Reply::Integer(1));
        last.expect("it was there").1.read().expect("and the last");
    }
}

#[test]
fn a_monitor_and_a_tracking_client_that_never_read_are_cut_off() {
    let server = Server::ours(&["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let (mut monitor, mut tracker, mut writer) = (server.client(), server.client(), server.client());
    monitor.run("MONITOR");
    tracker.run("HELLO 3");
    tracker.run("CLIENT TRACKING on BCAST");
    let name = vec![b'k'; 20_000];
    for _ in 0..1000 {
        writer.call(&[&b"SET"[..], &name, b"v"]).expect("written");
    }
    wait_until("both are cut off", || server.client().figure("client_output_buffer_limit_disconnections") == 2);
    assert_eq!(server.client().figure("tracking_clients"), 0);
}

/// A long pipeline was left in the middle for others to have their turn, and what it was answered so far was sent: a client got
/// part of the replies before it was cut off for all of them.
#[test]
fn a_pipeline_beyond_the_output_limit_is_answered_nothing() {
    for threads in ["1", "3"] {
        let server = Server::ours(&["--client-output-buffer-limit", "normal 300000 0 0", "--io-threads", threads]);
        let mut client = server.client();
        client.call(&[&b"SET"[..], b"k", &[b'x'; 1000]]).expect("written");
        client.send_raw(&b"GET k\r\n".repeat(400)).expect("taken");
        assert!(client.read().is_err(), "it is answered");
        assert_eq!(server.client().figure("client_output_buffer_limit_disconnections"), 1);
    }
}

/// CVE-2025-21605: a client that had not authenticated could let refusals pile up until memory was gone.
#[test]
fn cve_2025_21605_strangers_who_never_read() {
    let server = Server::ours(&["--requirepass", "secret"]);
    let mut stranger = server.client();
    let requests = b"PING\r\n".repeat(10_000);
    let mut refused = false;
    // The kernel's buffers take a few megabytes; then the server sees that nobody reads.
    for _ in 0..200 {
        refused |= stranger.send_raw(&requests).is_err();
        if refused {
            break;
        }
    }
    assert!(refused, "still connected");
}

#[test]
fn a_client_that_sends_byte_by_byte() {
    for _ in 0..rounds() {
        let server = Server::ours(&[]);
        beside_a_bystander(&server, "a client that sends byte by byte", |server| {
            let mut slow = server.client();
            for i in 0..size(20, 500) {
                let request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{i}\r\n", i.to_string().len());
                for byte in request.bytes() {
                    slow.send_raw(&[byte]).expect("taken");
                }
                assert_eq!(slow.read().expect("a reply"), ok());
            }
        });
    }
}

/// A client that always had more to say was read from again and again, and nobody was looked at meanwhile.
#[test]
fn a_client_that_sends_without_pause() {
    for _ in 0..rounds() {
        let server = Server::ours(&[]);
        beside_a_bystander(&server, "a client that sends without pause", |server| {
            let requests = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n".repeat(10_000);
            let mut writer = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
            let mut reader = writer.try_clone().expect("a second handle");
            let times = size(5, 500);
            let length = requests.len();
            let sender = std::thread::spawn(move || (0..times).for_each(|_| writer.write_all(&requests).expect("taken")));
            let mut left = times * 10_000 * b"+OK\r\n".len();
            let mut replies = vec![0; length];
            while left > 0 {
                left -= reader.read(&mut replies).expect("replies");
            }
            sender.join().expect("all was sent");
        });
    }
}

/// Slow requests that a client had sent at once were all run before anybody else's.
#[test]
fn slow_requests_of_one_client_leave_turns_to_others() {
    for threads in ["1", "3"] {
        let server = Server::ours(&["--enable-debug-command", "yes", "--io-threads", threads]);
        let (mut slow, mut other) = (server.client(), server.client());
        assert_eq!(other.run("EXISTS done"), Reply::Integer(0));
        slow.send_raw(&[&b"DEBUG SLEEP 0.005\r\n".repeat(200)[..], b"SET done 1\r\n"].concat()).expect("taken");
        assert_eq!(slow.read().expect("the first reply"), ok());
        assert_eq!(other.run("EXISTS done"), Reply::Integer(0));
        (0..200).for_each(|_| assert_eq!(slow.read().expect("a reply"), ok()));
        assert_eq!(other.run("EXISTS done"), Reply::Integer(1));
    }
}

/// Slow requests behind one that waited until cron woke it were left in the middle, and nobody came back to them.
#[test]
fn slow_requests_behind_one_that_waited_are_run() {
    for threads in ["1", "3"] {
        let server = Server::ours(&["--enable-debug-command", "yes", "--io-threads", threads]);
        let mut client = server.client();
        client.send_raw(&[&b"BLPOP nothing 0.01\r\n"[..], &b"DEBUG SLEEP 0.003\r\n".repeat(20)].concat()).expect("taken");
        assert_eq!(client.read().expect("the end of its patience"), Reply::NullArray);
        (0..20).for_each(|_| assert_eq!(client.read().expect("a reply"), ok()));
    }
}

/// What a client had sent before it stopped sending was dropped when it ran for longer than a turn, and with I/O threads whenever
/// the end was seen early.
#[test]
fn who_only_stops_sending_gets_all_replies() {
    for threads in ["1", "3"] {
        let server = Server::ours(&["--enable-debug-command", "yes", "--io-threads", threads]);
        for pause in [0.0, 0.003] {
            let mut client = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
            client.write_all(format!("DEBUG SLEEP {pause}\r\n").repeat(100).as_bytes()).expect("taken");
            client.shutdown(std::net::Shutdown::Write).expect("no more is sent");
            let mut replies = String::new();
            client.read_to_string(&mut replies).expect("replies, and the end");
            assert_eq!(replies, "+OK\r\n".repeat(100));
        }
        // Who waits for a key is not served when it is gone, be it gone before it began to wait.
        let mut gone = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        gone.write_all(b"DEBUG SLEEP 0.05\r\nDEBUG SLEEP 0.05\r\nDEBUG SLEEP 0.05\r\nBLPOP list 0\r\n").expect("taken");
        drop(gone);
        let mut client = server.client();
        wait_until("it is gone", || client.figure("connected_clients") == 1);
        assert_eq!(client.run("RPUSH list a"), Reply::Integer(1));
        assert_eq!(client.run("LLEN list"), Reply::Integer(1));
    }
}

/// Of a client that is sent away in the middle of its requests the rest is forgotten.
#[test]
fn nothing_more_is_run_for_those_who_are_sent_away() {
    for threads in ["1", "3"] {
        let server = Server::ours(&["--enable-debug-command", "yes", "--io-threads", threads]);
        let (mut admin, mut slow) = (server.client(), server.client());
        slow.run("CLIENT SETNAME slow");
        slow.send_raw(&[&b"DEBUG SLEEP 0.01\r\n".repeat(200)[..], b"SET done 1\r\n"].concat()).expect("taken");
        assert_eq!(slow.read().expect("the first reply"), ok());
        let list = admin.run("CLIENT LIST").lossy();
        let line = list.lines().find(|line| line.contains("name=slow")).expect("it is here");
        let id = line.split(' ').next().and_then(|field| field.strip_prefix("id=")).expect("an id");
        assert_eq!(admin.run(&format!("CLIENT KILL ID {id}")), Reply::Integer(1));
        assert!(!admin.run("CLIENT LIST").lossy().contains("name=slow"));
        assert_eq!(admin.run("EXISTS done"), Reply::Integer(0));
    }
}

#[test]
fn connections_that_come_and_go() {
    for _ in 0..rounds() {
        let server = Server::ours(&[]);
        let clients = server.client().figure("connected_clients");
        let connections = size(1000, 10_000);
        beside_a_bystander(&server, "connections that come and go", |server| {
            for i in 0..connections {
                let mut client = Client::connect(&server.address).expect("a connection");
                if i % 2 == 0 {
                    client.send_raw(b"*1\r\n$4\r\nPI").expect("taken");
                }
            }
        });
        wait_until("all are gone", || server.client().figure("connected_clients") == clients);
        assert!(server.client().figure("total_connections_received") >= connections as u64);
    }
}

/// Of clients that came all at once those behind the first 512 had to wait for a second before they could try again.
#[test]
fn clients_that_come_at_once_find_room_to_wait() {
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|text| text.trim().parse().ok());
    if allowed.is_none_or(|allowed: usize| allowed < 600) {
        return;
    }
    let server = Server::ours(&[]);
    assert_eq!(server.client().run("CONFIG GET tcp-backlog").items().map(|pair| pair[1].lossy()), Some("511".to_owned()));
    let tell = |signal: &str| {
        let told = std::process::Command::new("kill").args([signal, &server.pid().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "{signal}");
    };
    // Nobody is accepted meanwhile.
    tell("-STOP");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.port()));
    let patience = Duration::from_millis(900);
    let clients: Vec<_> = (0..600).map(|_| TcpStream::connect_timeout(&address, patience)).collect();
    tell("-CONT");
    assert_eq!(clients.iter().filter(|client| client.is_err()).count(), 0);
    wait_until("all are accepted", || server.client().figure("connected_clients") > 600);
}

#[test]
fn one_client_with_very_many_patterns() {
    for _ in 0..rounds() {
        let server = Server::ours(&[]);
        let patterns = size(10_000, 100_000);
        let mut subscriber = None;
        beside_a_bystander(&server, "one client with very many patterns", |server| {
            let mut client = server.client();
            for chunk in (0..patterns).collect::<Vec<_>>().chunks(1000) {
                let mut request = vec!["PSUBSCRIBE".to_owned()];
                request.extend(chunk.iter().map(|i| format!("news.{i}.*")));
                client.send(&request).expect("taken");
                chunk.iter().for_each(|_| {
                    client.read().expect("a confirmation");
                });
            }
            // The one before is gone with all of its own.
            subscriber = Some(client);
        });
        assert_eq!(server.client().run("PUBSUB NUMPAT"), Reply::Integer(patterns as i64));
        wait_until("only one is left", || server.client().run("PUBLISH news.77.oslo rain") == Reply::Integer(1));
        drop(subscriber);
        wait_until("they are gone with it", || server.client().run("PUBSUB NUMPAT") == Reply::Integer(0));
    }
}

/// All names of one request were subscribed to before anybody else had a turn.
#[test]
fn a_request_with_very_many_names_leaves_turns_to_others() {
    const NAMES: usize = 50_000;
    // At full size the server has one core, where I/O threads get theirs only when the engine is done.
    for threads in &["1", "3"][..size(2, 1)] {
        let server = Server::ours(&["--io-threads", threads]);
        let (mut subscriber, mut other) = (server.client(), server.client());
        let count = |client: &mut Client| client.run("PUBSUB NUMPAT").integer().expect("a number") as usize;
        assert_eq!(count(&mut other), 0);
        let mut request = vec!["PSUBSCRIBE".to_owned()];
        request.extend((0..NAMES).map(|i| format!("news.{i}.*")));
        subscriber.send(&request).expect("taken");
        subscriber.read().expect("the first confirmation");
        assert!((1..NAMES).contains(&count(&mut other)));
        (1..NAMES).for_each(|_| drop(subscriber.read().expect("a confirmation")));
        assert_eq!(count(&mut other), NAMES);
        subscriber.send(&["PUNSUBSCRIBE"]).expect("taken");
        subscriber.read().expect("the first confirmation");
        assert!((1..NAMES).contains(&count(&mut other)));
        (1..NAMES).for_each(|_| drop(subscriber.read().expect("a confirmation")));
        assert_eq!(count(&mut other), 0);
        let stats = other.run("INFO commandstats").lossy();
        assert!(stats.contains("cmdstat_psubscribe:calls=1,") && stats.contains("cmdstat_punsubscribe:calls=1,"), "{stats}");
    }
}

#[test]
fn very_many_subscribers_of_one_channel() {
    for _ in 0..rounds() {
        // At full size they are as many as the server serves at all, unless it is told otherwise.
        let server = Server::ours(&["--maxclients", "11000"]);
        let mut subscribers: Vec<Client> = (0..size(500, 10_000)).map(|_| server.client()).collect();
        for subscriber in &mut subscribers {
            subscriber.run("SUBSCRIBE news");
        }
        beside_a_bystander(&server, "very many subscribers of one channel", |server| {
            let mut publisher = server.client();
            for _ in 0..10 {
                assert_eq!(publisher.run("PUBLISH news hello"), Reply::Integer(subscribers.len() as i64));
            }
            for subscriber in &mut subscribers {
                (0..10).for_each(|_| {
                    subscriber.read().expect("a message");
                });
            }
        });
    }
}

#[test]
fn garbage_is_refused_and_forgotten() {
    for _ in 0..rounds() {
        let server = Server::ours(&[]);
        let before = server.client().figure("used_memory");
        beside_a_bystander(&server, "garbage", |server| {
            let mut rng = redstart::clock::Rng::seeded(1);
            let mut left = size(16 << 20, 1 << 30);
            while left > 0 {
                // What begins like a request, what does not, and what never ends.
                let mut client = server.client();
                let mut piece: Vec<u8> = (0..64 * 1024).map(|_| rng.next_u64() as u8).collect();
                match rng.below(4) {
                    0 => piece[..8].copy_from_slice(b"*1\r\n$60\r"),
                    1 => piece.retain(|byte| *byte != b'\n'),
                    2 => piece[..19].copy_from_slice(b"*1000000\r\n$6\r\nabcde"),
                    _ => {}
                }
                for _ in 0..16 {
                    left = left.saturating_sub(piece.len());
                    if client.send_raw(&piece).is_err() {
                        break;
                    }
                }
            }
        });
        wait_until("memory is back", || server.client().figure("used_memory") < before + (4 << 20));
    }
}

/// CVE-2025-46686: a request of very many long arguments held memory that no limit bounded.
#[test]
fn cve_2025_46686_requests_that_grow_without_end() {
    let server = Server::ours(&["--client-query-buffer-limit", "2mb", "--maxmemory-clients", "8mb"]);
    let before = server.client().figure("used_memory");
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    let argument = [&b"$1000000\r\n"[..], &vec![b'x'; 1_000_000], b"\r\n"].concat();
    for client in &mut clients {
        // The server may have closed it by then.
        let _ = client.send_raw(b"*1000000\r\n");
        let _ = client.send_raw(&argument);
    }
    wait_until("the largest are closed", || server.client().figure("evicted_clients") > 0);
    let _ = clients[0].send_raw(&argument);
    let _ = clients[0].send_raw(&argument);
    assert!(server.client().figure("used_memory") < before + (12 << 20), "{}", server.client().figure("used_memory"));
}

/// Room that a client announces is taken back when it sends nothing more, and what it did send is not lost.
#[test]
fn announced_room_is_taken_back() {
    let server = Server::ours(&["--hz", "100"]);
    let mut client = server.client();
    client.run("CLIENT SETNAME announcer");
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nab").expect("taken");
    let room = |server: &Server| {
        let Reply::Bulk(text) = server.client().run("CLIENT LIST NAME announcer") else { panic!("no list") };
        let text = String::from_utf8_lossy(&text).into_owned();
        let figure = |name: &str| -> usize {
            let found = text.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            found.expect("a field").parse().expect("a number")
        };
        (figure("qbuf"), figure("qbuf-free"))
    };
    wait_until("it is made", || room(&server).1 > 1_000_000);
    wait_until("it is taken back", || room(&server) == (2, 0));
    client.send_raw(&[&[b'c'; 999_998][..], b"\r\n"].concat()).expect("taken");
    assert_eq!(client.read().expect("a reply"), ok());
    assert_eq!(server.client().run("STRLEN k"), Reply::Integer(1_000_000));
    assert_eq!(server.client().run("GETRANGE k 0 3"), bulk("abcc"));
    // A client at rest has no buffer at all.
    wait_until("it is gone", || room(&server) == (0, 0));
}
