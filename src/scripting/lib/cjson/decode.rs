//! `cjson.decode`.
//!
//! The text ends at its first zero byte, as it does in the original.

use super::arguments::{self, Steps};
use super::number::leading_number;
use super::{Opt, Options};
use crate::sys::lua::{LuaError, Outcome, State};

pub fn decode(state: &mut State) -> Outcome<usize> {
    if state.top() != 1 {
        return Err(LuaError::argument(1, "expected 1 argument"));
    }
    let options = Options::load(state)?;
    arguments::string(state, 1)?;
    // The stack changes while the text is read.
    let text = state.bytes(1).unwrap_or_default().to_vec();
    if text.len() >= 2 && text[..2].contains(&0) {
        return Err(LuaError::text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut decoder = Decoder {
        text: &text,
        at: 0,
        depth: 0,
        depth_max: options.get(Opt::DecodeMaxDepth),
        invalid_numbers: options.get(Opt::DecodeInvalid) != 0,
        string: Vec::new(),
        steps: Steps::default(),
    };
    let first = decoder.token();
    decoder.value(state, first)?;
    match decoder.token() {
        (Token::End, _) => Ok(1),
        other => Err(unexpected("the end", other)),
    }
}

#[derive(Clone, Copy)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its text is in [`Decoder::string`].
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    fn name(self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(what) => what,
        }
    }
}

/// A token and where it begins, or where it is wrong.
type Placed = (Token, usize);

struct Decoder<'t> {
    text: &'t [u8],
    at: usize,
    depth: i32,
    depth_max: i32,
    /// Whether numbers that JSON does not know are taken.
    invalid_numbers: bool,
    /// The last string.
    string: Vec<u8>,
    steps: Steps,
}

impl Decoder<'_> {
    /// Pushes the value that begins with this token.
    fn value(&mut self, state: &mut State, first: Placed) -> Outcome {
        self.steps.step(state)?;
        match first.0 {
            Token::String => state.push_bytes(&self.string),
            Token::Number(number) => state.push_number(number),
            Token::Boolean(yes) => state.push_boolean(yes),
            Token::Null => state.push_null(),
            Token::ObjectBegin => self.object(state),
            Token::ArrayBegin => self.array(state),
            _ => Err(unexpected("value", first)),
        }
    }

    fn descend(&mut self, state: &mut State) -> Outcome {
        self.depth += 1;
        if self.depth > self.depth_max || state.reserve(3).is_err() {
            let (depth, at) = (self.depth, self.at);
            return Err(LuaError::text(format!("Found too many nested data structures ({depth}) at character {at}")));
        }
        Ok(())
    }

    fn object(&mut self, state: &mut State) -> Outcome {
        self.descend(state)?;
        state.push_table(0, 0)?;
        let mut token = self.token();
        if matches!(token.0, Token::ObjectEnd) {
            self.depth -= 1;
            return Ok(());
        }
        loop {
            let Token::String = token.0 else { return Err(unexpected("object key string", token)) };
            state.push_bytes(&self.string)?;
            token = self.token();
            let Token::Colon = token.0 else { return Err(unexpected("colon", token)) };
            let first = self.token();
            self.value(state, first)?;
            state.raw_set(-3)?;
            token = self.token();
            match token.0 {
                Token::ObjectEnd => break,
                Token::Comma => token = self.token(),
                _ => return Err(unexpected("comma or object end", token)),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, state: &mut State) -> Outcome {
        self.descend(state)?;
        state.push_table(0, 0)?;
        let mut token = self.token();
        if matches!(token.0, Token::ArrayEnd) {
            self.depth -= 1;
            return Ok(());
        }
        for n in 1.. {
            self.value(state, token)?;
            state.raw_set_item(-2, n)?;
            token = self.token();
            match token.0 {
                Token::ArrayEnd => break,
                Token::Comma => token = self.token(),
                _ => return Err(unexpected("comma or array end", token)),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The byte so far ahead; zero past the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn token(&mut self) -> Placed {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let start = self.at;
        let single = match self.peek(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return (Token::End, start),
            b'"' => return self.quoted(),
            b'-' | b'0'..=b'9' => {
                if !self.invalid_numbers && self.is_invalid_number() {
                    return (Token::Error("invalid number"), start);
                }
                return self.number();
            }
            b't' if self.skip(b"true") => return (Token::Boolean(true), start),
            b'f' if self.skip(b"false") => return (Token::Boolean(false), start),
            b'n' if self.skip(b"null") => return (Token::Null, start),
            b'+' | b'i' | b'I' | b'n' | b'N' if self.invalid_numbers && self.is_invalid_number() => return self.number(),
            _ => return (Token::Error("invalid token"), start),
        };
        self.at += 1;
        (single, start)
    }

    fn skip(&mut self, word: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn number(&mut self) -> Placed {
        let start = self.at;
        match leading_number(&self.text[start..]) {
            Some((number, len)) => {
                self.at += len;
                (Token::Number(number), start)
            }
            None => (Token::Error("invalid number"), start),
        }
    }

    /// Whether this is a number that JSON does not know: with a plus sign, hexadecimal, with leading zeros, infinity or NaN.
    fn is_invalid_number(&self) -> bool {
        let signed = (self.peek(0) == b'-') as usize;
        match self.peek(signed) {
            b'+' if signed == 0 => true,
            b'0' => matches!(self.peek(signed + 1), b'x' | b'X' | b'0'..=b'9'),
            0..=b'9' => false,
            _ => {
                let word = self.text.get(self.at + signed..self.at + signed + 3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn quoted(&mut self) -> Placed {
        let start = self.at;
        self.at += 1;
        self.string.clear();
        loop {
            let plain = self.text[self.at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0)).count();
            self.string.extend_from_slice(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    return (Token::String, start);
                }
                b'\\' => {}
                _ => return (Token::Error("unexpected end of string"), self.at),
            }
            let byte = match self.peek(1) {
                letter @ (b'"' | b'\\' | b'/') => letter,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => 12,
                b'r' => b'\r',
                b'u' => {
                    if self.unicode().is_none() {
                        return (Token::Error("invalid unicode escape code"), self.at);
                    }
                    continue;
                }
                _ => return (Token::Error("invalid escape code"), self.at),
            };
            self.string.push(byte);
            self.at += 2;
        }
    }

    /// Appends the character of one `\uXXXX`, or of two that are a surrogate pair.
    fn unicode(&mut self) -> Option<()> {
        let unit = self.hex4(2)?;
        let (code, len) = match unit {
            0xD800..0xDC00 => {
                if (self.peek(6), self.peek(7)) != (b'\\', b'u') {
                    return None;
                }
                let low = self.hex4(8).filter(|low| (0xDC00..0xE000).contains(low))?;
                (0x10000 + ((unit & 0x3FF) << 10 | low & 0x3FF), 12)
            }
            _ => (unit, 6),
        };
        let mut utf8 = [0; 4];
        self.string.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut utf8).as_bytes());
        self.at += len;
        Some(())
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |unit, n| Some(unit << 4 | char::from(self.peek(ahead + n)).to_digit(16)?))
    }
}

#[cold]
fn unexpected(expected: &str, (token, at): Placed) -> LuaError {
    LuaError::text(format!("Expected {expected} but found {} at character {}", token.name(), at + 1))
}
