//! How numbers, sizes and quoted words are written in redis.conf.
//! CONFIG SET, the file and the command line share these rules, odd ones included.

/// Splits a line into words. Double quotes know `\n \r \t \b \a \xHH`, single quotes only `\'`;
/// a closing quote must end its word. `None`: a quote is missing.
pub(crate) fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&c| is_space(c)) {
            at += 1;
        }
        if at >= line.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(&c) = line.get(at) {
            at += 1;
            match c {
                b'"' | b'\'' => {
                    at = quoted(line, at, c, &mut word)?;
                    break;
                }
                b' ' | b'\n' | b'\r' | b'\t' => break,
                _ => word.push(c),
            }
        }
        words.push(word);
    }
}

/// Reads to the closing quote and returns the position after it. `None`: there is none, or
/// something other than a space follows it.
fn quoted(line: &[u8], mut at: usize, quote: u8, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        let c = *line.get(at)?;
        at += 1;
        if c == quote {
            let ends = line.get(at).is_none_or(|&next| is_space(next));
            return ends.then_some(at);
        }
        if c != b'\\' {
            word.push(c);
            continue;
        }
        let next = line.get(at).copied();
        if quote == b'\'' {
            if next == Some(b'\'') {
                word.push(b'\'');
                at += 1;
            } else {
                word.push(b'\\');
            }
            continue;
        }
        let Some(next) = next else {
            word.push(b'\\');
            continue;
        };
        at += 1;
        let hex = |i: usize| line.get(i).and_then(|&c| (c as char).to_digit(16));
        match (next, hex(at), hex(at + 1)) {
            (b'x', Some(high), Some(low)) => {
                word.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'n', ..) => word.push(b'\n'),
            (b'r', ..) => word.push(b'\r'),
            (b't', ..) => word.push(b'\t'),
            (b'b', ..) => word.push(8),
            (b'a', ..) => word.push(7),
            _ => word.push(next),
        }
    }
}

/// The word in double quotes, so that `split_words` gives it back.
pub(crate) fn quote(word: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &c in word {
        match c {
            b'\\' | b'"' => out.extend([b'\\', c]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(c),
            _ => out.extend(format!("\\x{c:02x}").bytes()),
        }
    }
    out.push(b'"');
    out
}

/// The line without white space at its ends.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    let blank = |c: &u8| b" \t\r\n".contains(c);
    let start = line.iter().position(|c| !blank(c)).unwrap_or(line.len());
    let end = line.iter().rposition(|c| !blank(c)).map_or(start, |last| last + 1);
    &line[start..end]
}

/// A size: digits and an optional unit, `k` = 1000 and `kb` = 1024, likewise m and g.
/// No digits at all are 0; a size above 2^64 counts as the greatest one.
pub(crate) fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let value = number.iter().fold(0u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(value.saturating_mul(factor))
}

/// A size with the greatest unit that leaves no rest, as CONFIG REWRITE writes it.
pub(super) fn format_memory(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A decimal integer in its one canonical form: no `+`, no leading zeros, no spaces.
pub(super) fn parse_integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// An integer by the lenient rules of C: spaces in front, a sign, leading zeros; nothing at all
/// is 0, and what is out of range is the nearest limit. `None` if other characters are left.
pub(super) fn parse_integer_leniently(text: &[u8], radix: u32) -> Option<i64> {
    let start = text.iter().position(|&c| !is_space(c)).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() && !text.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for &c in digits {
        let digit = i64::from((c as char).to_digit(radix)?);
        let signed = if negative { -digit } else { digit };
        value = value.saturating_mul(i64::from(radix)).saturating_add(signed);
    }
    Some(value)
}

/// The system's own words for an error, without the number that std adds.
pub(crate) fn error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// White space as C's `isspace` sees it.
fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = split_words(line.as_bytes())?;
        Some(words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect())
    }

    #[test]
    fn words_and_quotes() {
        for (line, expected) in [
            ("", vec![]),
            ("  port \t 6379 ", vec!["port", "6379"]),
            (r#"save """#, vec!["save", ""]),
            ("logfile ''", vec!["logfile", ""]),
            (r#"a "b c" 'd e'"#, vec!["a", "b c", "d e"]),
            (r#""\x41\n\q\"" 'it\'s' '\n'"#, vec!["A\nq\"", "it's", "\\n"]),
            (r#"ab"cd""#, vec!["abcd"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        for line in [r#"a "b"#, "a 'b", r#"a "b"c"#, r#"a "b\"#] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    #[test]
    fn every_byte_survives_quoting() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split_words(&quote(&all)).unwrap(), [all]);
    }

    #[test]
    fn sizes() {
        for (text, value) in [
            ("100", Some(100)),
            ("1k", Some(1000)),
            ("1Kb", Some(1024)),
            ("2MB", Some(2 << 20)),
            ("3g", Some(3_000_000_000)),
            ("3gb", Some(3 << 30)),
            ("7b", Some(7)),
            ("", Some(0)),
            ("99999999999999999999gb", Some(u64::MAX)),
            ("-1", None),
            ("10xb", None),
            ("1.5gb", None),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), value, "{text}");
        }
        assert_eq!(format_memory(0), "0");
        assert_eq!(format_memory(64 << 20), "64mb");
        assert_eq!(format_memory(3 << 29), "1536mb");
        assert_eq!(format_memory(1025), "1025");
    }

    #[test]
    fn integers() {
        assert_eq!(parse_integer(b"-5"), Some(-5));
        for odd in ["", "+5", "05", " 5", "5 ", "x", "9223372036854775808"] {
            assert_eq!(parse_integer(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(parse_integer_leniently(b" +05", 10), Some(5));
        assert_eq!(parse_integer_leniently(b"", 10), Some(0));
        assert_eq!(parse_integer_leniently(b"770", 8), Some(0o770));
        assert_eq!(parse_integer_leniently(b"99999999999999999999", 10), Some(i64::MAX));
        assert_eq!(parse_integer_leniently(b"8", 8), None);
        assert_eq!(parse_integer_leniently(b"-", 10), None);
    }
}
