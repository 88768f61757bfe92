//! Glob patterns as KEYS, SCAN, PSUBSCRIBE and the ACL rules read them.
//!
//! The matcher keeps one resumption point, the last star it met: a later star can always absorb what an earlier one
//! would have, so going back further never helps. That bounds the work to pattern × text and needs no stack, where a
//! recursive matcher can be made to run for hours or to overflow (CVE-2022-36021, CVE-2024-31228).
//!
//! Corners kept because clients can see them: nothing but the empty pattern matches the empty text (not even `*`);
//! `]` right after `[` closes the class; an unterminated class ends with the pattern; an escaped byte inside a class is
//! compared exactly even without case; range bounds are ordered as *signed* bytes, and are folded only after that.

use memchr::memchr;

/// Runs of stars that a match may pass before the text's end. The original gives up behind that many, and says no.
const STARS_MAX: usize = 1000;

/// Whether `text` as a whole matches `pattern`. `nocase` folds ASCII letters only.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to resume: the pattern after the last star, and the text position that star will absorb next.
    let mut resume: Option<(usize, usize)> = None;
    let mut stars = 0;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            if t < text.len() {
                stars += 1;
                if stars > STARS_MAX {
                    return false;
                }
            }
            resume = Some((p, t));
        }
        if t == text.len() {
            // Only stars can match nothing, and they were skipped above. A longer star leaves even less text.
            return p == pattern.len();
        }
        if let Some(next) = step(pattern, p, text[t], nocase) {
            p = next;
            t += 1;
            continue;
        }
        let Some((star, from)) = resume else { return false };
        let from = match pattern[star] {
            b if !nocase && !is_meta(b) => match memchr(b, &text[from + 1..]) {
                Some(gap) => from + 1 + gap,
                None => return false,
            },
            _ => from + 1,
        };
        resume = Some((star, from));
        (p, t) = (star, from);
    }
}

/// The bytes every match must start with: the pattern up to its first special byte.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|&b| is_meta(b)).unwrap_or(pattern.len());
    &pattern[..end]
}

/// Whether the pattern has no special byte, so that it matches exactly itself.
pub fn is_literal(pattern: &[u8]) -> bool {
    literal_prefix(pattern).len() == pattern.len()
}

fn is_meta(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

/// Matches one byte against the element at `p` (never a star); the position of the next element if it fits.
fn step(pattern: &[u8], p: usize, byte: u8, nocase: bool) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (fits, next) = class(pattern, p + 1, byte, nocase);
            fits.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => same(pattern[p + 1], byte, nocase).then_some(p + 2),
        literal => same(literal, byte, nocase).then_some(p + 1),
    }
}

/// Reads the class whose first byte is at `p`. Returns whether `byte` is in it, and the position after it.
fn class(pattern: &[u8], mut p: usize, byte: u8, nocase: bool) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    while p < pattern.len() && (pattern[p] != b']') {
        match pattern[p..] {
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [low, b'-', high, ..] => {
                found |= in_range(low, high, byte, nocase);
                p += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, nocase);
                p += 1;
            }
            [] => break,
        }
    }
    (found != negated, pattern.len().min(p + 1))
}

fn in_range(low: u8, high: u8, byte: u8, nocase: bool) -> bool {
    let (low, high) = if low as i8 > high as i8 { (high, low) } else { (low, high) };
    let order = |byte: u8| i32::from(byte as i8);
    // The C library folds a negative character to its unsigned value, except −1, which it takes for the end of a file.
    let folded = |byte: u8| if byte == 0xff { -1 } else { i32::from(byte.to_ascii_lowercase()) };
    if nocase { (folded(low)..=folded(high)).contains(&folded(byte)) } else { (order(low)..=order(high)).contains(&order(byte)) }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_thousand_stars_match_nothing_but_the_end() {
        let text = "a".repeat(2000);
        let pattern = |stars: usize, end: &str| "*?".repeat(stars) + end;
        assert!(matches(pattern(1000, "").as_bytes(), text.as_bytes(), false));
        assert!(matches(pattern(1000, "*").as_bytes(), text.as_bytes(), false));
        assert!(!matches(pattern(1001, "").as_bytes(), text.as_bytes(), false));
        let few = "a".repeat(5);
        assert!(matches(("?????".to_owned() + &"*".repeat(5000)).as_bytes(), few.as_bytes(), false));
    }

    #[test]
    fn table() {
        let yes: &[(&str, &str)] = &[
            ("", ""),
            ("*", "a"),
            ("a*", "a"),
            ("a**", "a"),
            ("*a*", "a"),
            ("h?llo", "hello"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("\\*", "*"),
            ("\\", "\\"),
            ("[\\]]", "]"),
            ("[abc", "c"),
            ("[^", "x"),
            ("[a-]", "]"),
            ("[\\", "\\"),
            ("*[0-9]x*?", "a1b2xz"),
            ("a*b*c*d", "aXbXcbXcd"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} {text}");
        }
        let no: &[(&str, &str)] = &[
            ("*", ""),
            ("?", ""),
            ("", "a"),
            ("a?", "a"),
            ("[", "["),
            ("[]a]", "a]"),
            ("h[^e]llo", "hello"),
            ("a*b", "abc"),
            ("[a-z]", "A"),
            ("*a", "ab"),
        ];
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} {text}");
        }
        assert!(matches(b"[a-z]B*", b"QbX", true));
        assert!(!matches(b"[\\a]", b"A", true), "escapes in a class keep their case");
        assert!(!matches(b"[Z-a]", b"q", true), "folded after ordering: an empty range");
        assert!(matches(b"[\xff-a]", b"0", false), "bytes are ordered as signed");
        assert!(matches(b"[\x80-a]", b"A", false) && !matches(b"[\x80-a]", b"A", true), "and folded as unsigned");
    }

    #[test]
    fn prefixes() {
        assert_eq!(literal_prefix(b"user:*"), b"user:");
        assert_eq!(literal_prefix(b"a\\*"), b"a");
        assert!(is_literal(b"user:1]") && !is_literal(b"a?") && is_literal(b""));
    }

    /// Patterns made to blow up recursive matchers end quickly here.
    #[test]
    fn abusive_patterns_are_quick() {
        let text = vec![b'a'; 20_000];
        let pattern = [b"a*".repeat(5_000), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &text, false));
        assert!(matches(&b"a*".repeat(STARS_MAX), &text, false));
        assert!(!matches(&[b"*?".repeat(30_000), b"x".to_vec()].concat(), &text, true));
    }

    /// The definition, by plain recursion.
    fn model(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some(b'*'), _) => model(&pattern[1..], text, nocase) || (!text.is_empty() && model(pattern, &text[1..], nocase)),
            (Some(_), Some(&byte)) => {
                step(pattern, 0, byte, nocase).is_some_and(|next| model(&pattern[next..], &text[1..], nocase))
            }
            _ => false,
        }
    }

    #[test]
    fn agrees_with_the_recursive_definition() {
        let mut rng = crate::clock::Rng::seeded(0x9e37_79b9_7f4a_7c15_u64);
        let mut next = |n: u64| rng.below(n);
        for _ in 0..60_000 {
            let pattern: Vec<u8> = (0..next(9)).map(|_| b"abAB*?[]^-\\*"[next(12) as usize]).collect();
            let text: Vec<u8> = (0..1 + next(8)).map(|_| b"abAB-]"[next(6) as usize]).collect();
            let nocase = next(2) == 0;
            assert_eq!(matches(&pattern, &text, nocase), model(&pattern, &text, nocase), "{pattern:?} {text:?}");
        }
    }
}
