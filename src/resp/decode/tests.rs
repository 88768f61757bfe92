//! The decoder against texts whose meaning is known, against itself on the same bytes in pieces, and against garbage.

use super::*;
use crate::clock::Rng;

const SMALL: Limits = Limits::authenticated(1024 * 1024);

type Request = Vec<Vec<u8>>;
/// Requests as they are written down in tables.
type Words<'a> = &'a [&'a [&'a [u8]]];

/// Feeds pieces as a connection would; the requests, and the step that ended it.
struct Feed {
    decoder: Decoder,
    input: Vec<u8>,
    spans: Vec<Span>,
    requests: Vec<Request>,
}

impl Feed {
    fn new() -> Self {
        Feed { decoder: Decoder::default(), input: Vec::new(), spans: Vec::new(), requests: Vec::new() }
    }

    fn push(&mut self, piece: &[u8], limits: &Limits) -> Step {
        self.input.extend_from_slice(piece);
        for _ in 0..=self.input.len() {
            let before = self.decoder.start();
            match self.decoder.next(&mut self.input, &mut self.spans, limits) {
                Step::Request { first, count } => {
                    assert!(count > 0 && self.decoder.start() > before, "no progress");
                    let spans = &self.spans[first..][..count];
                    assert_eq!(first + count, self.spans.len());
                    let arg = |&(at, len): &Span| self.input[at as usize..][..len as usize].to_vec();
                    self.requests.push(spans.iter().map(arg).collect());
                }
                end => return end,
            }
        }
        panic!("more requests than bytes");
    }

    fn compact(&mut self) {
        self.input.drain(..self.decoder.start());
        self.decoder.shift(&mut self.spans);
        assert_eq!(self.decoder.start(), 0);
    }
}

fn decode(input: &[u8], limits: &Limits) -> (Vec<Request>, Step) {
    let mut feed = Feed::new();
    let end = feed.push(input, limits);
    (feed.requests, end)
}

fn request(words: &[&[u8]]) -> Request {
    words.iter().map(|word| word.to_vec()).collect()
}

fn encode(request: &[Vec<u8>], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", request.len()).as_bytes());
    for arg in request {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[test]
fn whole_requests() {
    let cases: &[(&[u8], Words<'_>)] = &[
        (b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]),
        (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", &[&[b"ECHO", b""], &[b"PING"]]),
        // Requests of no arguments and empty lines vanish.
        (b"*0\r\n*-1\r\n*-10\r\n\r\n\n  \r\n*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]),
        // Bytes that are not verified: after the carriage return, and after the bulk.
        (b"*1\rx$4\ryPINGzz", &[&[b"PING"]]),
        (b"*2\r\n$4\r\nECHO\r\n$3\r\nabcXX*1\r\n$4\r\nPING\r\n", &[&[b"ECHO", b"abc"], &[b"PING"]]),
        // Bulks are any bytes.
        (b"*1\r\n$5\r\n\r\n\0*$\r\n", &[&[b"\r\n\0*$"]]),
        (b"PING\r\n", &[&[b"PING"]]),
        (b"PING\nPING", &[&[b"PING"]]),
        (b" SET\tk  v \r\nGET k\r\n", &[&[b"SET", b"k", b"v"], &[b"GET", b"k"]]),
        (b"SET k \"a b\\n\\r\\t\\a\\b\\\"\\\\\\x41\\xfF\\xg\\q\"\n", &[&[b"SET", b"k", b"a b\n\r\t\x07\x08\"\\A\xffxgq"]]),
        (b"SET k 'a \\' \"\\n\\x41'\n", &[&[b"SET", b"k", b"a ' \"\\n\\x41"]]),
        (b"SET a\"b c\" ''\n", &[&[b"SET", b"ab c", b""]]),
        // Vertical tab and form feed are space before a word and after a quote, and plain bytes inside.
        (b"\x0bA\x0bB\x0c \"c\"\x0bd\n", &[&[b"A\x0bB\x0c", b"c", b"d"]]),
        (b"A\rB\r\r\n", &[&[b"A", b"B"]]),
        (b"SET \xc3\xa9 \xff\n", &[&[b"SET", b"\xc3\xa9", b"\xff"]]),
        (b"$1\r\n", &[&[b"$1"]]),
    ];
    for (input, expected) in cases {
        let (requests, end) = decode(input, &SMALL);
        let expected: Vec<Request> = expected.iter().map(|words| request(words)).collect();
        assert_eq!(requests, expected, "{:?}", input.escape_ascii().to_string());
        assert!(matches!(end, Step::NeedMore { .. }));
    }
}

#[test]
fn errors_have_their_text() {
    let long = |start: &str, byte: &str, n: usize| [start, &byte.repeat(n)].concat().into_bytes();
    let cases: &[(Vec<u8>, Limits, &str)] = &[
        (b"*abc\r\n".to_vec(), SMALL, "invalid multibulk length"),
        (b"*\r\n".to_vec(), SMALL, "invalid multibulk length"),
        (b"*01\r\n".to_vec(), SMALL, "invalid multibulk length"),
        (b"*+1\r\n".to_vec(), SMALL, "invalid multibulk length"),
        (b"*1 \r\n".to_vec(), SMALL, "invalid multibulk length"),
        (b"*3000000000000000000000\r\n".to_vec(), SMALL, "invalid multibulk length"),
        (b"*2147483648\r\n".to_vec(), SMALL, "invalid multibulk length"),
        (b"*11\r\n".to_vec(), Limits::unauthenticated(), "unauthenticated multibulk length"),
        (b"*100000\r\n".to_vec(), Limits::unauthenticated(), "unauthenticated multibulk length"),
        (b"*2147483648\r\n".to_vec(), Limits::unauthenticated(), "invalid multibulk length"),
        (b"*1\r\n$16385\r\n".to_vec(), Limits::unauthenticated(), "unauthenticated bulk length"),
        (b"*1\r\n$536870913\r\n".to_vec(), Limits::unauthenticated(), "invalid bulk length"),
        (b"*1\r\n$536870913\r\n".to_vec(), Limits::default(), "invalid bulk length"),
        (b"*1\r\n$1048577\r\n".to_vec(), SMALL, "invalid bulk length"),
        (b"*1\r\n$4294967296\r\n".to_vec(), Limits::authenticated(usize::MAX), "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n".to_vec(), Limits::authenticated(usize::MAX), "invalid bulk length"),
        (b"*1\r\n$abc\r\n".to_vec(), SMALL, "invalid bulk length"),
        (b"*1\r\n$-1\r\n".to_vec(), SMALL, "invalid bulk length"),
        (b"*1\r\n$4 \r\nPING\r\n".to_vec(), SMALL, "invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-5\r\n".to_vec(), SMALL, "invalid bulk length"),
        (b"*1\r\nPING\r\n".to_vec(), SMALL, "expected '$', got 'P'"),
        (b"*1\r\n:4\r\n".to_vec(), SMALL, "expected '$', got ':'"),
        (b"*1\r\n\r\n".to_vec(), SMALL, "expected '$', got ' '"),
        (b"SET k \"foo\r\n".to_vec(), SMALL, "unbalanced quotes in request"),
        (b"SET k 'foo\\\r\n".to_vec(), SMALL, "unbalanced quotes in request"),
        (b"SET k \"foo\\\n".to_vec(), SMALL, "unbalanced quotes in request"),
        (b"SET k \"foo\"bar\r\n".to_vec(), SMALL, "unbalanced quotes in request"),
        (b"SET k 'foo'bar\r\n".to_vec(), SMALL, "unbalanced quotes in request"),
        (long("", "A", 65537), SMALL, "too big inline request"),
        (long("*", "1", 65536), SMALL, "too big mbulk count string"),
        (long("*1\r\n$", "1", 65536), SMALL, "too big bulk count string"),
        // A zero byte hides the line's end.
        (long("\0", "x\r\n", 30000), SMALL, "too big inline request"),
        (long("*\0", "x\r\n", 30000), SMALL, "too big mbulk count string"),
        (long("*1\r\n$\0", "x\r\n", 30000), SMALL, "too big bulk count string"),
    ];
    for (input, limits, expected) in cases {
        let (requests, end) = decode(input, limits);
        let Step::Error(error) = end else { panic!("{expected}: {end:?}") };
        assert_eq!(error.to_string(), format!("ERR Protocol error: {expected}"));
        assert!(requests.is_empty());
    }
    assert_eq!(ProtocolError::ExpectedDollar(0xff).text(), b"ERR Protocol error: expected '$', got '\xff'");
}

#[test]
fn limits_are_inclusive() {
    let ends = [
        decode(&b"A".repeat(65536), &SMALL).1,
        decode(b"*1048576\r\n", &SMALL).1,
        decode(b"*10\r\n$16384\r\n", &Limits::unauthenticated()).1,
        decode(b"*1\r\n$1048576\r\n", &SMALL).1,
    ];
    for end in ends {
        assert!(matches!(end, Step::NeedMore { .. }), "{end:?}");
    }
}

#[test]
fn errors_stay_and_come_after_good_requests() {
    let mut feed = Feed::new();
    let end = feed.push(b"*1\r\n$4\r\nPING\r\nGET \"\\x41\"b\n", &SMALL);
    assert_eq!(feed.requests, [request(&[b"PING"])]);
    assert_eq!(end, Step::Error(ProtocolError::UnbalancedQuotes));
    assert_eq!(feed.push(b"PING\r\n", &SMALL), end);
}

#[test]
fn total_is_the_end_of_the_awaited_bulk() {
    let mut feed = Feed::new();
    assert_eq!(feed.push(b"", &SMALL), Step::NeedMore { total: 1 });
    assert_eq!(feed.push(b"*2\r\n$3\r\nGET\r\n$100000\r\nx", &SMALL), Step::NeedMore { total: 13 + 9 + 100_002 });
    feed.compact();
    let mut other = Feed::new();
    assert_eq!(other.push(b"PING\r\n*1\r\n$50\r\nxx", &SMALL), Step::NeedMore { total: 6 + 9 + 52 });
    other.compact();
    assert_eq!(other.push(b"x", &SMALL), Step::NeedMore { total: 9 + 52 });
}

/// CVE-2021-32675: a count and a length reserve nothing.
#[test]
fn announcements_reserve_nothing() {
    let mut feed = Feed::new();
    feed.push(b"*1048576\r\n$536870912\r\n", &Limits::default());
    assert_eq!(feed.spans.capacity(), 0);
}

/// Commands of all kinds, and the bytes that ask for them.
fn pipeline(random: &mut Rng) -> (Vec<Request>, Vec<u8>) {
    let (mut requests, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..random.index(8) {
        match random.index(8) {
            0 => bytes.extend_from_slice([&b"\r\n"[..], b"\n", b"*0\r\n", b"*-1\r\n", b" \t\r\n"][random.index(5)]),
            1 => {
                let words: Request = (0..1 + random.index(4)).map(|_| vec![b'w'; 1 + random.index(9)]).collect();
                bytes.extend_from_slice(&words.join(&b' '));
                bytes.extend_from_slice(b"\r\n");
                requests.push(words);
            }
            2 => {
                let word: Vec<u8> = (0..random.index(20)).map(|_| random.index(256) as u8).collect();
                bytes.extend_from_slice(b"ECHO \"");
                word.iter().for_each(|byte| bytes.extend_from_slice(format!("\\x{byte:02x}").as_bytes()));
                bytes.extend_from_slice(b"\" z\n");
                requests.push(vec![b"ECHO".to_vec(), word, b"z".to_vec()]);
            }
            _ => {
                let arg = |random: &mut Rng| -> Vec<u8> {
                    let len = if random.index(20) == 0 { random.index(3000) } else { random.index(24) };
                    (0..len).map(|_| b"\r\n*$ 1\0x"[random.index(8)]).collect()
                };
                let args: Request = (0..1 + random.index(12)).map(|_| arg(random)).collect();
                encode(&args, &mut bytes);
                requests.push(args);
            }
        }
    }
    (requests, bytes)
}

#[test]
fn pieces_make_the_same_requests() {
    let mut random = Rng::seeded(0x5eed_0001);
    for round in 0..1500 {
        let (requests, bytes) = pipeline(&mut random);
        let (whole, end) = decode(&bytes, &SMALL);
        assert_eq!(whole, requests);
        assert_eq!(end, Step::NeedMore { total: bytes.len() + 1 });

        let most = if round % 3 == 0 { 1 } else { 1 + random.index(200) };
        let mut feed = Feed::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((1 + random.index(most)).min(rest.len()));
            rest = later;
            feed.push(piece, &SMALL);
            if random.index(3) == 0 {
                feed.compact();
            }
        }
        assert_eq!(feed.requests, requests);
    }
}

/// A header of 64 KB that comes byte by byte is searched once, not once per byte.
#[test]
fn long_requests_in_pieces_take_linear_time() {
    let args: Request = (0..20_001).map(|n| format!("{n:040}").into_bytes()).collect();
    let mut bytes = Vec::new();
    encode(&args, &mut bytes);
    let mut feed = Feed::new();
    for piece in bytes.chunks(64) {
        feed.push(piece, &SMALL);
    }
    assert_eq!(feed.requests, [args]);

    let mut decoder = Decoder::default();
    let mut line = b"x".repeat(65536);
    for end in 0..line.len() {
        let step = decoder.next(&mut line[..end], &mut Vec::new(), &SMALL);
        assert_eq!((step, decoder.searched), (Step::NeedMore { total: end + 1 }, end));
    }
}

/// `REDSTART_DECODER_ROUNDS` asks for more rounds than the usual.
#[test]
fn garbage_ends_in_an_answer() {
    const PIECES: [&[u8]; 22] = [
        b"*",
        b"$",
        b"\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"0",
        b"1",
        b"2",
        b"3",
        b"-",
        b"9999999999",
        b"a",
        b" ",
        b"\"",
        b"'",
        b"\\",
        b"\\x4",
        b"\0",
        b"*1\r\n",
        b"$1\r\n",
        b"\xff",
    ];
    let mut random = Rng::seeded(0x5eed_0002);
    let rounds = std::env::var("REDSTART_DECODER_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000_u64);
    for round in 0..rounds {
        let mut bytes = Vec::new();
        for _ in 0..random.index(24) {
            if round % 4 == 0 {
                bytes.push(random.index(256) as u8);
            } else {
                bytes.extend_from_slice(PIECES[random.index(PIECES.len())]);
            }
        }
        let limits = if round % 2 == 0 { SMALL } else { Limits::unauthenticated() };
        let (requests, end) = decode(&bytes, &limits);
        assert!(!matches!(end, Step::Request { .. }));

        // In two pieces it must come to the same.
        let mut feed = Feed::new();
        let (head, tail) = bytes.split_at(random.index(bytes.len() + 1));
        feed.push(head, &limits);
        let end_of_pieces = feed.push(tail, &limits);
        assert_eq!((feed.requests, end_of_pieces), (requests, end), "{}", bytes.escape_ascii());
    }
}

/// A decoder whose buffer was swapped behind its back says nonsense, but does not panic.
#[test]
fn wrong_buffers_do_not_panic() {
    let mut feed = Feed::new();
    feed.push(b"PING\r\n*3\r\n$3\r\nSET\r\n$9\r\nk", &SMALL);
    assert!(matches!(feed.decoder.next(&mut [], &mut Vec::new(), &SMALL), Step::NeedMore { .. }));
    feed.decoder.next(&mut [b'7'; 100], &mut Vec::new(), &SMALL);
    feed.decoder.shift(&mut Vec::new());
    feed.decoder.next(&mut [b'7'; 100], &mut Vec::new(), &SMALL);
}
