//! The grammar that rows describe their arguments in:
//!
//! | text | makes |
//! |---|---|
//! | `COUNT`, `=`, `0` | the word itself, letters in any case |
//! | `seconds` | a value of that name, see `values.rs` |
//! | `[a b\|c]` | one of the alternatives, or nothing |
//! | `<a b\|c>` | one of the alternatives |
//! | `{a b}+`, `{a\|b}*` | one or more of it; none or more |
//! | `#{a b}` | a number, and as many repetitions (sometimes the number is wrong) |
//! | `~([a] [b])` | its parts in any order |

use super::values::Values;
use crate::support::notation::Args;

/// A part of a row's arguments.
#[derive(Debug)]
pub enum Item {
    Word(&'static str),
    Value(&'static str),
    /// Alternatives, and whether there may be none of them.
    Choice(Vec<Vec<Item>>, bool),
    /// Alternatives and the least number of repetitions.
    Repeat(Vec<Vec<Item>>, u64),
    Counted(Vec<Item>),
    AnyOrder(Vec<Item>),
}

/// Reads a row's arguments.
///
/// # Errors
/// What is wrong with them.
pub fn parse(text: &'static str) -> Result<Vec<Item>, String> {
    let mut parser = Parser { text, at: 0 };
    let items = parser.sequence()?;
    if parser.at == text.len() { Ok(items) } else { Err(format!("unexpected {:?}", &text[parser.at..])) }
}

struct Parser {
    text: &'static str,
    at: usize,
}

impl Parser {
    fn rest(&self) -> &'static str {
        &self.text[self.at..]
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("{token:?} expected before {:?}", self.rest())) }
    }

    fn sequence(&mut self) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        loop {
            while self.eat(" ") {}
            if self.rest().is_empty() || self.rest().starts_with([']', '>', '}', ')', '|']) {
                return Ok(items);
            }
            items.push(self.item()?);
        }
    }

    fn alternatives(&mut self, end: &str) -> Result<Vec<Vec<Item>>, String> {
        let mut all = vec![self.sequence()?];
        while self.eat("|") {
            all.push(self.sequence()?);
        }
        self.expect(end)?;
        Ok(all)
    }

    fn item(&mut self) -> Result<Item, String> {
        if self.eat("[") {
            return Ok(Item::Choice(self.alternatives("]")?, true));
        }
        if self.eat("<") {
            return Ok(Item::Choice(self.alternatives(">")?, false));
        }
        if self.eat("#{") {
            let items = self.sequence()?;
            self.expect("}")?;
            return Ok(Item::Counted(items));
        }
        if self.eat("{") {
            let items = self.alternatives("}")?;
            let least = if self.eat("+") { 1 } else { 0 };
            return if least == 1 || self.eat("*") { Ok(Item::Repeat(items, least)) } else { Err("} without + or *".into()) };
        }
        if self.eat("~(") {
            let items = self.sequence()?;
            self.expect(")")?;
            return Ok(Item::AnyOrder(items));
        }
        let end = self.rest().find([' ', ']', '>', '}', ')', '|']).unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        self.at += end;
        Ok(if word.starts_with(|c: char| c.is_ascii_lowercase()) { Item::Value(word) } else { Item::Word(word) })
    }
}

/// Out of 100 optional parts, so many are there.
const OPTION_PERCENT: u64 = 35;

/// Appends arguments as `items` describe them.
pub fn generate(items: &[Item], values: &mut Values, out: &mut Args) {
    for item in items {
        match item {
            Item::Word(word) => {
                let mut word = word.as_bytes().to_vec();
                if values.random.percent(25) {
                    values.random_case(&mut word);
                }
                out.push(word);
            }
            Item::Value(name) => {
                let value = values.make(name);
                out.push(value);
            }
            Item::Choice(alternatives, optional) => {
                if !optional || values.random.percent(OPTION_PERCENT) {
                    let at = values.random.below(alternatives.len() as u64) as usize;
                    generate(&alternatives[at], values, out);
                }
            }
            Item::Repeat(alternatives, least) => {
                for _ in 0..least + repetitions(values) {
                    let at = values.random.below(alternatives.len() as u64) as usize;
                    generate(&alternatives[at], values, out);
                }
            }
            Item::Counted(items) => {
                let mut count = 1 + repetitions(values);
                let told = match values.random.below(100) {
                    0 => count + 1,
                    1 => count - 1,
                    _ => count,
                };
                out.push(told.to_string().into_bytes());
                while count > 0 {
                    generate(items, values, out);
                    count -= 1;
                }
            }
            Item::AnyOrder(items) => {
                let mut order: Vec<&Item> = items.iter().collect();
                if values.random.percent(60) {
                    values.random.shuffle(&mut order);
                }
                for item in order {
                    generate(std::slice::from_ref(item), values, out);
                }
            }
        }
    }
}

/// Mostly a few, sometimes enough to change an encoding when thresholds are low.
fn repetitions(values: &mut Values) -> u64 {
    match values.random.below(20) {
        0..8 => 0,
        8..19 => values.random.below(5),
        _ => values.random.below(40),
    }
}

/// All words in it.
pub fn literals(items: &[Item]) -> Vec<String> {
    let mut out = Vec::new();
    for item in items {
        match item {
            Item::Word(word) => out.push((*word).to_owned()),
            Item::Value(_) => {}
            Item::Choice(all, _) | Item::Repeat(all, _) => out.extend(all.iter().flat_map(|items| literals(items))),
            Item::Counted(items) | Item::AnyOrder(items) => out.extend(literals(items)),
        }
    }
    out
}
