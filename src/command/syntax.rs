//! COMMAND DOCS' trees of arguments, read off the `syntax` text of a row, so that the two cannot disagree.
//!
//! The notation: `[x]` optional, `<a|b>` a choice, `x [x ...]` repeated, words without lower-case letters are tokens to be
//! sent as they stand, other words stand for values, whose type follows from the word.

use super::spec::CommandSpec;

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Key,
    String,
    Integer,
    Double,
    UnixTime,
    Pattern,
    /// One of the arguments below.
    OneOf,
    /// All of the arguments below.
    Block,
    /// The token and nothing else.
    PureToken,
}

impl Kind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::UnixTime => "unix-time",
            Kind::Pattern => "pattern",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
            Kind::PureToken => "pure-token",
        }
    }
}

/// An argument, with those inside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument {
    pub name: String,
    pub kind: Kind,
    /// The word that introduces it.
    pub token: Option<String>,
    pub optional: bool,
    pub multiple: bool,
    /// Each repetition has the token.
    pub multiple_token: bool,
    /// Which of the command's key specs finds it, for keys.
    pub key_spec: Option<usize>,
    pub arguments: Vec<Argument>,
}

/// The arguments of a command.
pub fn arguments(spec: &CommandSpec) -> Vec<Argument> {
    let mut symbols = symbols(spec.syntax).into_iter().peekable();
    let nodes = sequence(&mut symbols);
    let mut reader = Reader { spec, keys: 0 };
    reader.read(&nodes)
}

#[derive(Clone, PartialEq, Debug)]
enum Symbol {
    Open(char),
    Close,
    Bar,
    Word(String),
}

/// A piece of the text.
#[derive(Clone, PartialEq, Debug)]
enum Node {
    Word(String),
    Group {
        optional: bool,
        choices: Vec<Vec<Node>>,
    },
    /// The nodes, once or several times.
    Repeated(Vec<Node>),
}

const ELLIPSIS: &str = "...";

fn symbols(text: &str) -> Vec<Symbol> {
    let mut found = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if !matches!(c, ' ' | '[' | ']' | '<' | '>' | '|') {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            found.push(Symbol::Word(std::mem::take(&mut word)));
        }
        match c {
            '[' | '<' => found.push(Symbol::Open(c)),
            ']' | '>' => found.push(Symbol::Close),
            '|' => found.push(Symbol::Bar),
            _ => {}
        }
    }
    if !word.is_empty() {
        found.push(Symbol::Word(word));
    }
    found
}

fn sequence(symbols: &mut std::iter::Peekable<std::vec::IntoIter<Symbol>>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    while let Some(symbol) = symbols.next_if(|s| !matches!(s, Symbol::Bar | Symbol::Close)) {
        match symbol {
            Symbol::Word(word) => nodes.push(Node::Word(word)),
            Symbol::Open(bracket) => {
                let mut choices = vec![sequence(symbols)];
                while symbols.next_if_eq(&Symbol::Bar).is_some() {
                    choices.push(sequence(symbols));
                }
                symbols.next_if_eq(&Symbol::Close);
                let optional = bracket == '[';
                match repetition(&nodes, &choices) {
                    Some(count) if optional => {
                        let repeated = nodes.split_off(nodes.len() - count);
                        nodes.push(Node::Repeated(repeated));
                    }
                    _ => nodes.push(Node::Group { optional, choices }),
                }
            }
            Symbol::Bar | Symbol::Close => {}
        }
    }
    nodes
}

/// How many of the last nodes a group repeats, if it is of the form `x ...`.
fn repetition(before: &[Node], choices: &[Vec<Node>]) -> Option<usize> {
    let [choice] = choices else { return None };
    let (last, repeated) = choice.split_last()?;
    let is_ellipsis = matches!(last, Node::Word(word) if word == ELLIPSIS);
    (is_ellipsis && before.ends_with(repeated)).then_some(repeated.len())
}

fn is_token(word: &str) -> bool {
    !word.contains(|c: char| c.is_ascii_lowercase())
}

fn starts_with_token(nodes: &[Node]) -> bool {
    matches!(nodes.first(), Some(Node::Word(word)) if is_token(word))
}

struct Reader<'a> {
    spec: &'a CommandSpec,
    /// Keys met so far.
    keys: usize,
}

impl Argument {
    fn new(name: impl Into<String>, kind: Kind) -> Self {
        Argument {
            name: name.into(),
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            key_spec: None,
            arguments: Vec::new(),
        }
    }
}

impl Reader<'_> {
    fn read(&mut self, nodes: &[Node]) -> Vec<Argument> {
        let mut arguments = Vec::new();
        let mut i = 0;
        while i < nodes.len() {
            match &nodes[i] {
                Node::Word(word) if is_token(word) => {
                    let operands = nodes[i + 1..].iter().take_while(|node| is_operand(node)).count();
                    arguments.push(self.introduced(word, &nodes[i + 1..i + 1 + operands]));
                    i += operands;
                }
                node => arguments.push(self.plain(node)),
            }
            i += 1;
        }
        arguments
    }

    /// What a token introduces.
    fn introduced(&mut self, token: &str, operands: &[Node]) -> Argument {
        let mut argument = match operands {
            [] => Argument::new(token_name(token), Kind::PureToken),
            [one] => self.plain(one),
            several => {
                let mut block = Argument::new(token_name(token), Kind::Block);
                block.arguments = self.read(several);
                block
            }
        };
        argument.token = Some(if token == "\"\"" { String::new() } else { token.to_owned() });
        argument
    }

    fn plain(&mut self, node: &Node) -> Argument {
        match node {
            Node::Word(word) => {
                let mut argument = Argument::new(word.as_str(), self.kind_of(word));
                if argument.kind == Kind::Key {
                    argument.key_spec = Some(self.keys.min(self.spec.keys.len().saturating_sub(1)));
                    self.keys += 1;
                }
                argument
            }
            Node::Repeated(nodes) => {
                let mut argument = self.one_of_all(nodes, "data");
                argument.multiple = true;
                argument.multiple_token = starts_with_token(nodes);
                argument
            }
            Node::Group { optional, choices } => {
                let mut argument = match &choices[..] {
                    [nodes] => self.one_of_all(nodes, "block"),
                    several => {
                        let arguments: Vec<_> = several.iter().map(|nodes| self.one_of_all(nodes, "block")).collect();
                        let mut choice = Argument::new(choice_name(&arguments), Kind::OneOf);
                        choice.arguments = arguments;
                        choice
                    }
                };
                argument.optional |= *optional;
                argument
            }
        }
    }

    /// The argument that these nodes are, or a block of them.
    fn one_of_all(&mut self, nodes: &[Node], name: &str) -> Argument {
        let mut arguments = self.read(nodes);
        match arguments.len() {
            1 => arguments.remove(0),
            _ => {
                let mut block = Argument::new(name, Kind::Block);
                block.arguments = arguments;
                block
            }
        }
    }

    fn kind_of(&self, word: &str) -> Kind {
        const KEYS: &[&str] = &["key", "destination", "destkey", "dst", "key1", "key2", "newkey", "source", "sourcekey", "src"];
        #[rustfmt::skip]
        const INTEGERS: &[&str] = &[
            "bit", "bits", "client-id", "cluster-bus-port", "config-epoch", "count", "cursor", "db", "decrement",
            "destination-db", "end-slot", "entries-added", "entries-read", "frequency", "index", "index1", "index2", "len",
            "limit", "maxage", "milliseconds", "min-match-len", "ms", "num-matches", "numfields", "numkeys", "numlocal",
            "numreplicas", "offset", "port", "protover", "rank", "seconds", "slot", "start-slot", "ttl", "version", "weight",
        ];
        const DOUBLES: &[&str] = &["height", "latitude", "longitude", "radius", "score", "width"];
        let command = self.spec.name;
        let any = |names: &[&str]| names.contains(&command);
        match word {
            _ if KEYS.contains(&word) && !self.spec.keys.is_empty() => Kind::Key,
            _ if INTEGERS.contains(&word) => Kind::Integer,
            _ if DOUBLES.contains(&word) => Kind::Double,
            "unix-time-seconds" | "unix-time-milliseconds" => Kind::UnixTime,
            "pattern" => Kind::Pattern,
            "increment" if command.ends_with("FLOAT") => Kind::Double,
            "increment" => Kind::Integer,
            "timeout" if any(&["WAIT", "WAITAOF", "MIGRATE", "CLIENT|PAUSE"]) => Kind::Integer,
            "timeout" => Kind::Double,
            "value" if any(&["BITFIELD", "SETBIT"]) => Kind::Integer,
            "min" | "max" if command.ends_with("SCORE") || command == "ZCOUNT" => Kind::Double,
            "start" | "stop" | "end" if command.starts_with('X') || any(&["ZRANGE", "ZRANGESTORE"]) => Kind::String,
            "start" | "stop" | "end" => Kind::Integer,
            _ => Kind::String,
        }
    }
}

/// True for what can follow a token as its value.
fn is_operand(node: &Node) -> bool {
    match node {
        Node::Word(word) => !is_token(word),
        Node::Repeated(nodes) => !starts_with_token(nodes),
        Node::Group { optional, .. } => !optional,
    }
}

fn token_name(token: &str) -> String {
    match token {
        "=" => "equal".into(),
        "~" => "approximately".into(),
        "*" => "auto-id".into(),
        "$" => "new-id".into(),
        "\"\"" => "empty-string".into(),
        _ => token.to_ascii_lowercase(),
    }
}

/// A name for a choice between these.
fn choice_name(arguments: &[Argument]) -> &'static str {
    match arguments[0].token.as_deref() {
        Some("NX" | "FNX") => "condition",
        Some("GT") => "comparison",
        Some("EX") => "expiration",
        Some("ASC") => "order",
        Some("M") => "unit",
        Some("LEFT") => "where",
        Some("BEFORE") => "where",
        Some("SYNC" | "ASYNC") => "flush-type",
        Some("BYTE") => "unit",
        Some("ON") => "status",
        Some("SUM") => "aggregate",
        Some("=") => "operator",
        _ => "choice",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::spec::KeySpec;

    fn text(arguments: &[Argument]) -> String {
        let one = |a: &Argument| {
            let token = a.token.as_ref().map(|t| format!("{t}=")).unwrap_or_default();
            let inside = if a.arguments.is_empty() { String::new() } else { format!("({})", text(&a.arguments)) };
            let marks = [(a.optional, "?"), (a.multiple, "*"), (a.multiple_token, "!")];
            let marks: String = marks.iter().filter(|(yes, _)| *yes).map(|(_, mark)| *mark).collect();
            let name = if a.arguments.is_empty() { a.name.as_str() } else { a.kind.name() };
            format!("{token}{name}{inside}{marks}")
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn tree(syntax: &'static str) -> String {
        const KEYS: &[KeySpec] = &[KeySpec::at(1)];
        text(&arguments(&CommandSpec { name: "TEST", syntax, keys: KEYS, ..CommandSpec::BASE }))
    }

    #[test]
    fn the_notation_is_understood() {
        assert_eq!(tree("key value [key value ...]"), "block(key value)*");
        assert_eq!(tree("key [NX|XX] [EX seconds|KEEPTTL]"), "key oneof(NX=nx XX=xx)? oneof(EX=seconds KEEPTTL=keepttl)?");
        assert_eq!(tree("[COUNT count [ANY]]"), "block(COUNT=count ANY=any?)?");
        assert_eq!(tree("[LIMIT offset count]"), "LIMIT=block(offset count)?");
        assert_eq!(tree("[GET pattern [GET pattern ...]]"), "GET=pattern?*!");
        assert_eq!(tree("STREAMS key [key ...] id [id ...]"), "STREAMS=block(key* id*)");
        assert_eq!(tree("[AGGREGATE <SUM|MIN>]"), "AGGREGATE=oneof(SUM=sum MIN=min)?");
        assert_eq!(tree("[KEYS key [key ...]]"), "KEYS=key?*");
        assert_eq!(tree(""), "");
        // Unbalanced text is a mistake in a row, and no reason to hang.
        assert_eq!(tree("a ] b"), "a");
    }
}
