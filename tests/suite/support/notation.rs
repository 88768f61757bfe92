//! Requests in redis-cli notation (`SET k "a\x00b"`) to arguments and back, and the escapes of the tables in `tests/data`.

use super::reply::quoted;

/// The arguments of a request, its command first.
pub type Args = Vec<Vec<u8>>;

/// Splits a request into arguments: bare words, `'…'` as it stands, `"…"` with escapes.
///
/// # Errors
/// A quote that is not closed.
pub fn split(request: &str) -> Result<Args, String> {
    let bytes = request.as_bytes();
    let (mut args, mut at) = (Args::new(), 0);
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if at >= bytes.len() {
            return Ok(args);
        }
        let mut arg = Vec::new();
        while let Some(&byte) = bytes.get(at).filter(|byte| !byte.is_ascii_whitespace()) {
            if byte == b'"' || byte == b'\'' {
                at = quote(bytes, at, &mut arg).ok_or_else(|| format!("unbalanced quotes in {request}"))?;
            } else {
                arg.push(byte);
                at += 1;
            }
        }
        args.push(arg);
    }
}

/// Reads the quoted text that opens at `at` into `out`; the position behind it.
fn quote(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let mark = bytes[at];
    let mut at = at + 1;
    loop {
        match (*bytes.get(at)?, mark) {
            (byte, _) if byte == mark => return Some(at + 1),
            (b'\\', b'"') => {
                at += 1;
                let byte = *bytes.get(at)?;
                let hex = |at: usize| char::from(*bytes.get(at).unwrap_or(&b'?')).to_digit(16);
                match (byte, hex(at + 1), hex(at + 2)) {
                    (b'x', Some(high), Some(low)) => {
                        out.push((high * 16 + low) as u8);
                        at += 2;
                    }
                    (b'n', ..) => out.push(b'\n'),
                    (b'r', ..) => out.push(b'\r'),
                    (b't', ..) => out.push(b'\t'),
                    (b'a', ..) => out.push(7),
                    (b'b', ..) => out.push(8),
                    _ => out.push(byte),
                }
            }
            (b'\\', b'\'') if bytes.get(at + 1) == Some(&b'\'') => {
                out.push(b'\'');
                at += 1;
            }
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
}

/// The bytes of `RAW`'s argument: quoted pieces, each with `*n` behind it if it is repeated.
///
/// # Errors
/// What cannot be read.
pub fn raw(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b' ' => at += 1,
            b'"' => {
                let mut piece = Vec::new();
                at = quote(bytes, at, &mut piece).ok_or("unbalanced quotes")?;
                let mut times = 1;
                if bytes.get(at) == Some(&b'*') {
                    let digits = text[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
                    times = text[at + 1..at + 1 + digits].parse().map_err(|_| format!("no number in {text}"))?;
                    at += 1 + digits;
                }
                out.extend(piece.repeat(times));
            }
            _ => return Err(format!("unexpected text in {text}")),
        }
    }
    Ok(out)
}

/// A request as one would type it.
pub fn show(args: &[Vec<u8>]) -> String {
    let bare = |arg: &[u8]| !arg.is_empty() && arg.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\;".contains(b));
    let words: Vec<String> =
        args.iter().map(|arg| if bare(arg) { String::from_utf8_lossy(arg).into_owned() } else { quoted(arg) }).collect();
    words.join(" ")
}

/// The first `limit` bytes of a text that may be long.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
    }
}

/// A request as RESP.
pub fn encode(args: &[impl AsRef<[u8]>], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Takes the escapes of the tables (`\r \n \t \\ \xHH`) out of a field.
pub fn unescape(field: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next() {
            Some('r') => out.push(b'\r'),
            Some('n') => out.push(b'\n'),
            Some('t') => out.push(b'\t'),
            Some('x') => {
                let hex: String = chars.by_ref().take(2).collect();
                out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            }
            Some(other) => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            None => out.push(b'\\'),
        }
    }
    out
}

/// The rows of a table in `tests/data`, without its header line.
pub fn table(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().skip(1).map(|line| line.split('\t').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_split_and_shown() {
        let args = split(r#"SET  "a \x00\n\"" 'it''s' b"c""#).unwrap();
        assert_eq!(args, [&b"SET"[..], b"a \x00\n\"", b"its", b"bc"]);
        assert_eq!(split(&show(&args)).unwrap(), args);
        assert!(split("SET \"k").is_err());
        assert_eq!(raw(r#""ab\r\n"*2 "c""#).unwrap(), b"ab\r\nab\r\nc");
        assert_eq!(unescape(r"a\\\x00\r\n"), b"a\\\x00\r\n");
    }
}
