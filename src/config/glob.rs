//! Glob patterns for CONFIG GET and for `include`.
//! A loop with one point to return to, so that no pattern can cost more than length × length.

/// Whether `text` fits `pattern`: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a literal character.
pub(super) fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on if the last `*` has to take one character more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = one(pattern, p, text[t], nocase) {
            p = next;
            t += 1;
        } else if let Some((after, taken)) = star {
            p = after;
            t = taken + 1;
            star = Some((after, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether a name holds a character that is special in patterns.
pub(super) fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|c| b"*?[".contains(c))
}

/// Matches one character at `p`; the position after the matching part of the pattern.
fn one(pattern: &[u8], p: usize, c: u8, nocase: bool) -> Option<usize> {
    let fold = |c: u8| if nocase { c.to_ascii_lowercase() } else { c };
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => class(pattern, p + 1, fold(c), fold),
        b'\\' if p + 1 < pattern.len() => (fold(pattern[p + 1]) == fold(c)).then_some(p + 2),
        literal => (fold(literal) == fold(c)).then_some(p + 1),
    }
}

/// Matches `c` against the class that begins at `p`. A class without `]` ends with the pattern.
fn class(pattern: &[u8], mut p: usize, c: u8, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    while let Some(&first) = pattern.get(p) {
        if first == b']' {
            p += 1;
            break;
        }
        if first == b'\\' && p + 1 < pattern.len() {
            found |= fold(pattern[p + 1]) == c;
            p += 2;
        } else if pattern.get(p + 1) == Some(&b'-') && p + 2 < pattern.len() {
            let (a, b) = (fold(first), fold(pattern[p + 2]));
            found |= (a.min(b)..=a.max(b)).contains(&c);
            p += 3;
        } else {
            found |= fold(first) == c;
            p += 1;
        }
    }
    (found != negated).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("max*", "maxmemory", true),
            ("MAX*Y", "maxmemory", true),
            ("*mem*o*", "maxmemory", true),
            ("m?xmemory", "maxmemory", true),
            ("m[a-c]x*", "maxmemory", true),
            ("m[^a-c]x*", "maxmemory", false),
            ("m\\*", "m*", true),
            ("m\\*", "mx", false),
            ("max", "maxmemory", false),
            ("maxmemory?", "maxmemory", false),
            ("[", "x", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), true), fits, "{pattern}");
        }
        let hostile = "a*".repeat(2000);
        assert!(!matches(hostile.as_bytes(), "a".repeat(1999).as_bytes(), false));
    }
}
