//! Clients that write and remember what they wrote, and a model to compare a server's data with after a crash: what was
//! acknowledged must be there, what was not may be there, but only as a whole.

use super::client::{Address, Client};
use super::reply::Reply;
use redstart::clock::Rng;
use redstart::config::Protected;
use redstart::resp::request::OwnedRequest;
use redstart::testkit::Kit;
use std::time::{Duration, Instant};

/// Requests that are done together or not at all.
pub type Op = Vec<Vec<Vec<u8>>>;

/// What a client did between its start and the crash.
#[derive(Default)]
pub struct Written {
    /// Acknowledged, each with its time.
    pub done: Vec<(Op, Instant)>,
    /// Sent and not answered.
    pub open: Option<Op>,
    /// Refused by the server.
    pub refused: usize,
}

/// The names of a client's keys, one for each type and then some.
const KEYS: [&str; 9] = ["string", "list", "hash", "zset", "set", "stream", "bits", "volatile", "fields"];
/// A deadline that no test lives to see.
const FAR: &str = "4000000000000";

fn key(client: usize, name: &str) -> Vec<u8> {
    format!("{name}:{client}").into_bytes()
}

/// Writes until the server is gone.
pub fn write_until_gone(address: &Address, client: usize, mut rng: Rng) -> Written {
    let mut written = Written::default();
    let Ok(mut connection) = Client::connect(address) else { return written };
    connection.set_patience(Duration::from_secs(60));
    loop {
        let op = op(client, &mut rng);
        let sent = op.iter().try_for_each(|request| connection.send(request));
        let replies: Result<Vec<Reply>, _> = sent.and_then(|()| op.iter().map(|_| connection.read()).collect());
        match replies {
            Err(_) => {
                written.open = Some(op);
                return written;
            }
            Ok(replies) if replies.iter().any(Reply::is_error) => written.refused += 1,
            Ok(_) => written.done.push((op, Instant::now())),
        }
    }
}

/// The next thing to do: one request, or a transaction of a few.
fn op(client: usize, rng: &mut Rng) -> Op {
    if rng.below(5) < 3 {
        return vec![request(client, rng)];
    }
    let mut op = vec![vec![b"MULTI".to_vec()]];
    op.extend((0..2 + rng.below(3)).map(|_| request(client, rng)));
    op.push(vec![b"EXEC".to_vec()]);
    op
}

fn request(client: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    let name = KEYS[rng.below(KEYS.len() as u64) as usize];
    let number = rng.next_u64() >> 20;
    let mut word = |max: u64| {
        let len = if rng.below(40) == 0 { 20_000 } else { rng.below(max) };
        vec![b'a' + (rng.below(26)) as u8; len as usize]
    };
    let (short, long) = (word(6), word(300));
    let text = |text: &str| text.as_bytes().to_vec();
    let digits = |n: u64| n.to_string().into_bytes();
    let words: Vec<Vec<u8>> = match (name, number % 8) {
        (_, 0) if number.is_multiple_of(64) => return vec![text("DEL"), key(client, name)],
        ("string", 0..4) => vec![text("SET"), long],
        ("string", _) => vec![text("APPEND"), short],
        ("list", 0..5) => vec![text("RPUSH"), long, short],
        ("list", _) => vec![text("LPOP")],
        ("hash", 0..6) => vec![text("HSET"), digits(number % 200), long],
        ("hash", _) => vec![text("HDEL"), digits(number % 200)],
        ("zset", 0..6) => vec![text("ZADD"), digits(number % 1000), digits(number % 200)],
        ("zset", _) => vec![text("ZINCRBY"), text("1.5"), digits(number % 200)],
        ("set", 0..6) => vec![text("SADD"), digits(number % 300), short],
        ("set", _) => vec![text("SREM"), digits(number % 300)],
        ("stream", 0..7) => {
            vec![text("XADD"), text("MAXLEN"), text("100"), [digits(number), text("-1")].concat(), text("f"), short]
        }
        ("stream", _) => vec![text("XSETID"), [digits(1 << 44), text("-1")].concat()],
        ("bits", _) => vec![text("SETBIT"), digits(number % 4000), digits(number & 1)],
        ("volatile", 0..4) => vec![text("SET"), short, text("PXAT"), text(FAR)],
        ("volatile", 4..6) => vec![text("PERSIST")],
        ("volatile", _) => vec![text("PEXPIREAT"), text(FAR)],
        ("fields", 0..5) => vec![text("HSET"), digits(number % 20), short],
        (_, _) => vec![text("HPEXPIREAT"), text(FAR), text("FIELDS"), text("1"), digits(number % 20)],
    };
    let mut words = words.into_iter();
    words.next().into_iter().chain([key(client, name)]).chain(words).collect()
}

/// What the data must be.
pub struct Model(Kit);

impl Default for Model {
    fn default() -> Self {
        let mut kit = Kit::new();
        kit.world.config.enable_debug_command = Protected::Yes;
        Model(kit)
    }
}

impl Model {
    fn apply(&mut self, op: &Op) {
        for request in op {
            let request: OwnedRequest = request.iter().map(Vec::as_slice).collect();
            self.0.run_request(&request);
        }
        self.0.take_propagated();
        self.0.take_events();
    }

    fn state(&mut self, client: usize) -> String {
        state(client, |request| {
            let request: OwnedRequest = request.iter().map(|word| &word[..]).collect();
            self.0.run_request(&request)
        })
    }

    /// Takes in what a client wrote; of what was acknowledged later than `sure_until` a tail may be missing. Panics if the
    /// server's data are none of the states that there may be. Returns how many acknowledged operations were lost.
    pub fn settle(&mut self, server: &mut Client, client: usize, written: &Written, sure_until: Option<Instant>) -> usize {
        let is = state(client, |request| show(&server.call(request).unwrap()));
        let sure = match sure_until {
            None => written.done.len(),
            Some(at) => written.done.iter().take_while(|(_, acknowledged)| *acknowledged < at).count(),
        };
        written.done[..sure].iter().for_each(|(op, _)| self.apply(op));
        let mut rest = written.done[sure..].iter().map(|(op, _)| op).chain(&written.open);
        let mut taken = sure;
        loop {
            let may_be = self.state(client);
            if may_be == is {
                return written.done.len().saturating_sub(taken);
            }
            let Some(op) = rest.next() else {
                let open: Option<Vec<_>> =
                    written.open.as_ref().map(|op| op.iter().map(|request| String::from_utf8_lossy(&request[0])).collect());
                panic!(
                    "client {client}: the data are in no state that there may be; {} acknowledged, {sure} of them for sure, open \
                     {open:?}\nof {KEYS:?} there is\n{is}\nand at last there may be\n{may_be}",
                    written.done.len(),
                );
            };
            self.apply(op);
            taken += 1;
        }
    }
}

/// All that decides on what further requests do. The digest leaves out a stream's last identifier.
fn state(client: usize, mut run: impl FnMut(&[Vec<u8>]) -> String) -> String {
    let head = [b"DEBUG".to_vec(), b"DIGEST-VALUE".to_vec()];
    let digest: Vec<_> = head.into_iter().chain(KEYS.iter().map(|name| key(client, name))).collect();
    let digest = run(&digest);
    let about = run(&[b"XINFO".to_vec(), b"STREAM".to_vec(), key(client, "stream")]);
    let last_id = about.split_once("\"last-generated-id\", ").and_then(|(_, rest)| rest.split(',').next());
    format!("{digest} {}", last_id.unwrap_or("no stream"))
}

/// As the kit shows replies.
pub fn show(reply: &Reply) -> String {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    redstart::testkit::render_all(&bytes)
}

/// A crash between an XSETID and its reply: whether it was done must be told from the data.
#[test]
fn a_state_tells_the_last_identifier_of_a_stream() {
    let words = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut model = Model::default();
    model.apply(&vec![words("XADD stream:0 5-1 f v")]);
    let before = model.state(0);
    model.apply(&vec![words("XSETID stream:0 9-1")]);
    assert_ne!(model.state(0), before);
    assert!(model.state(0).ends_with("\"9-1\""), "{}", model.state(0));
}
