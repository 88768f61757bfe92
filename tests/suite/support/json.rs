//! Just enough JSON for the descriptions of reference data: no numbers but as text, strings of code points up to 255 as bytes.

/// A value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(Vec<u8>),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole document.
    pub fn parse(text: &str) -> Json {
        let mut rest = text.trim_end();
        let value = value(&mut rest);
        assert!(rest.is_empty(), "data behind the document: {rest:.20}");
        value
    }

    /// A text.
    pub fn text(text: &str) -> Json {
        Json::Text(text.as_bytes().to_vec())
    }

    /// A number.
    pub fn number(n: impl ToString) -> Json {
        Json::Number(n.to_string())
    }

    /// A member of a map.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Map(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The elements of a list, or none.
    pub fn list(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    /// The members of a map, or none.
    pub fn members(&self) -> &[(String, Json)] {
        match self {
            Json::Map(members) => members,
            _ => &[],
        }
    }

    /// The bytes of a text.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Json::Text(bytes) => bytes,
            other => panic!("not a text: {other:?}"),
        }
    }

    /// An integer.
    pub fn int(&self) -> Option<i64> {
        match self {
            Json::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }
}

fn skip(rest: &mut &str) {
    *rest = rest.trim_start();
}

fn eat(rest: &mut &str, token: &str) -> bool {
    skip(rest);
    match rest.strip_prefix(token) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn value(rest: &mut &str) -> Json {
    for (token, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
        if eat(rest, token) {
            return value;
        }
    }
    if eat(rest, "[") {
        let mut items = Vec::new();
        while !eat(rest, "]") {
            items.push(value(rest));
            eat(rest, ",");
        }
        return Json::List(items);
    }
    if eat(rest, "{") {
        let mut members = Vec::new();
        while !eat(rest, "}") {
            let Json::Text(name) = value(rest) else { panic!("a member without a name") };
            assert!(eat(rest, ":"));
            members.push((String::from_utf8_lossy(&name).into_owned(), value(rest)));
            eat(rest, ",");
        }
        return Json::Map(members);
    }
    if eat(rest, "\"") {
        return Json::Text(text(rest));
    }
    let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(rest.len());
    assert!(end > 0, "not JSON: {rest:.20}");
    let (digits, after) = rest.split_at(end);
    *rest = after;
    Json::Number(digits.to_owned())
}

fn text(rest: &mut &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = rest.chars();
    loop {
        match chars.next().expect("an open text") {
            '"' => break,
            '\\' => out.push(match chars.next().expect("an open escape") {
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'b' => 8,
                'f' => 12,
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    u8::from_str_radix(&digits[2..], 16).expect("a byte")
                }
                other => other as u8,
            }),
            other => out.push(u8::try_from(other as u32).expect("a byte")),
        }
    }
    *rest = chars.as_str();
    out
}
