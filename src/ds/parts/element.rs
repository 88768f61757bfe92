//! An element of a small collection: text, or an integer standing for its decimal text.
//!
//! Encodings store text that looks like an integer as an integer. The two forms mean the same, so equality here is
//! equality of text; whoever needs the bytes asks for [`Element::write_to`] or [`Element::with_text`].

use std::fmt;

/// Longest decimal text of an i64: a sign and 19 digits.
pub const INT_TEXT_MAX: usize = 20;

/// A borrowed element, as stored. `Str` may hold integer-like text when it came from outside.
#[derive(Clone, Copy)]
pub enum Element<'a> {
    Int(i64),
    Str(&'a [u8]),
}

/// What is done with elements that are lent one after another.
pub trait Visit {
    fn element(&mut self, element: Element<'_>);

    /// Takes texts of at most `N` bytes for as long as `next` has one, each with what happens to lie behind it: to copy always as
    /// many bytes is quicker than as many as there are, and a loop of its own keeps its state in registers.
    #[inline(always)]
    fn texts<'t, const N: usize>(&mut self, mut next: impl FnMut() -> Option<(&'t [u8; N], usize)>) {
        while let Some((text, len)) = next() {
            self.element(Element::Str(&text[..len]));
        }
    }
}

/// Does the same with all elements.
pub struct Each<F>(pub F);

impl<F: FnMut(Element<'_>)> Visit for Each<F> {
    #[inline(always)]
    fn element(&mut self, element: Element<'_>) {
        (self.0)(element);
    }
}

impl<'a> Element<'a> {
    /// The form in which it is stored: text that reads as an integer becomes `Int`.
    #[inline]
    pub fn canonical(self) -> Element<'a> {
        match self {
            Element::Str(text) => parse_int(text).map_or(self, Element::Int),
            Element::Int(_) => self,
        }
    }

    /// Its integer value, when its text is exactly the decimal form of an i64.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Element::Int(value) => Some(value),
            Element::Str(text) => parse_int(text),
        }
    }

    /// Length of its text in bytes.
    pub fn text_len(self) -> usize {
        match self {
            Element::Int(value) => int_text_len(value),
            Element::Str(text) => text.len(),
        }
    }

    /// Appends its text.
    pub fn write_to(self, out: &mut Vec<u8>) {
        self.with_text(|text| out.extend_from_slice(text));
    }

    /// Lends its text, without allocating.
    pub fn with_text<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Element::Int(value) => f(itoa::Buffer::new().format(value).as_bytes()),
            Element::Str(text) => f(text),
        }
    }

    /// A copy of its text.
    pub fn to_vec(self) -> Vec<u8> {
        self.with_text(<[u8]>::to_vec)
    }

    /// Whether its text is `text`.
    pub fn eq_bytes(self, text: &[u8]) -> bool {
        match self {
            Element::Int(value) => parse_int(text) == Some(value),
            Element::Str(own) => own == text,
        }
    }

    /// Equality with a needle that went through [`Element::canonical`]; saves parsing it once per comparison.
    #[inline]
    pub(crate) fn matches(self, needle: Element<'_>) -> bool {
        match (self, needle) {
            (Element::Str(own), Element::Str(text)) => own == text,
            (Element::Int(own), Element::Int(value)) => own == value,
            (Element::Str(own), Element::Int(value)) => parse_int(own) == Some(value),
            (Element::Int(_), Element::Str(_)) => false,
        }
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Element<'_>) -> bool {
        self.matches(other.canonical())
    }
}

impl Eq for Element<'_> {}

impl<'a> From<&'a [u8]> for Element<'a> {
    fn from(text: &'a [u8]) -> Element<'a> {
        Element::Str(text)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Element<'a> {
    fn from(text: &'a [u8; N]) -> Element<'a> {
        Element::Str(text)
    }
}

impl From<i64> for Element<'_> {
    fn from(value: i64) -> Self {
        Element::Int(value)
    }
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Int(value) => write!(f, "{value}"),
            Element::Str(text) => write!(f, "\"{}\"", text.escape_ascii()),
        }
    }
}

/// The i64 whose decimal form is exactly `text`: no sign but a minus, no leading zero, no space, so that the text can
/// be made again from the number.
#[inline]
pub fn parse_int(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > INT_TEXT_MAX {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] => return if negative { None } else { Some(0) },
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut value = 0_i64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Downwards, because the negative range is the wider one.
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

fn int_text_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
    digits + usize::from(value < 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_read_back_exactly() {
        for value in [0, 1, -1, 9, 10, -10, 127, 99_999, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
            let text = value.to_string();
            assert_eq!(parse_int(text.as_bytes()), Some(value));
            assert_eq!(Element::Int(value).text_len(), text.len());
            assert_eq!(Element::Int(value).to_vec(), text.as_bytes());
            assert!(Element::Int(value).eq_bytes(text.as_bytes()));
            assert_eq!(Element::Int(value), Element::Str(text.as_bytes()));
            assert_eq!(Element::Str(text.as_bytes()), Element::Int(value));
        }
    }

    #[test]
    fn lookalikes_are_text() {
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1a",
            "--1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
            "000000000000000000001",
            "1.0",
        ] {
            assert_eq!(parse_int(text.as_bytes()), None, "{text}");
            assert!(!Element::Int(1).eq_bytes(text.as_bytes()));
            assert!(matches!(Element::Str(text.as_bytes()).canonical(), Element::Str(_)));
        }
    }
}
