//! Seeded random Lua scripts, with one right answer each: nothing depends on the order of a table's keys, on addresses or on
//! time. Left out as well is what LuaJIT does otherwise than Lua 5.1 by design: `goto`, loops with a step of 0, indices beyond
//! 32 bits, patterns with a zero byte or a reference to nothing, `assert` with a table, the least and the greatest of numbers
//! with NaN among them. Scripts show most results as text of their own making (`show`), so that a reply's conversion hides
//! nothing; those that are about conversions return what they have.

use super::Random;

/// What a script is about; `REDSTART_LUA_TOPICS` selects some.
pub const TOPICS: &[&str] = &[
    "arithmetic",
    "string",
    "pattern",
    "format",
    "table",
    "order",
    "cjson",
    "cmsgpack",
    "struct",
    "bit",
    "reply",
    "command",
    "error",
];

/// Shows a value whole: type, text, and a table's items and fields in the order of their shown keys.
const SHOW: &str = r#"
local function show(v, depth)
  depth = depth or 0
  local kind = type(v)
  if kind == 'string' then
    return '"' .. v:gsub('[^ -~]', function(c) return string.format('\\%03d', c:byte()) end):gsub('"', '\\"') .. '"'
  elseif kind == 'number' then
    if v ~= v then return 'nan' end
    return string.format('%.17g', v)
  elseif kind == 'table' then
    if depth > 20 then return '{...}' end
    local parts = {}
    for key, value in pairs(v) do parts[#parts + 1] = '[' .. show(key, depth + 1) .. ']=' .. show(value, depth + 1) end
    table.sort(parts)
    return '{' .. table.concat(parts, ',') .. '}'
  elseif kind == 'userdata' then
    return v == cjson.null and 'null' or 'userdata'
  elseif kind == 'function' or kind == 'thread' then
    return kind
  end
  return tostring(v)
end
local function all(...)
  local parts = {}
  for i = 1, select('#', ...) do parts[i] = show((select(i, ...))) end
  return table.concat(parts, ' ')
end
local function num(v) if v ~= v then return 0 end return v end
local function try(f, ...) return all(pcall(f, ...)) end
"#;

/// Makes scripts up.
pub struct Scripts {
    random: Random,
    topics: Vec<&'static str>,
}

impl Scripts {
    /// Scripts about some topics; about all if none is named.
    pub fn new(seed: u64, topics: &[&str]) -> Scripts {
        let topics = TOPICS.iter().copied().filter(|topic| topics.is_empty() || topics.contains(topic)).collect();
        Scripts { random: Random::new(seed), topics }
    }

    /// The next script's topic and text.
    pub fn script(&mut self) -> (&'static str, String) {
        let topic = *self.random.pick(&self.topics);
        let body = match topic {
            "arithmetic" => self.arithmetic(),
            "string" => self.strings(),
            "pattern" => self.patterns(),
            "format" => self.formats(),
            "table" => self.tables(),
            "order" => self.order(),
            "cjson" => self.cjson(),
            "cmsgpack" => self.cmsgpack(),
            "struct" => self.structs(),
            "bit" => self.bits(),
            "reply" => return (topic, format!("return {}", self.reply(0))),
            "command" => self.commands(),
            _ => self.errors(),
        };
        (topic, format!("{SHOW}{body}"))
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.random.below(of.len() as u64) as usize]
    }

    fn list(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> String) -> String {
        let count = self.random.below(most + 1);
        (0..count).map(|_| make(self)).collect::<Vec<_>>().join(", ")
    }

    /// A number as a script writes it.
    fn number(&mut self) -> String {
        match self.random.below(8) {
            0 => self.one(&["0", "1", "-1", "2", "10", "0.5", "-0.5", "3.14159", "1e10", "100"]).to_owned(),
            1 => self.one(&["(1/0)", "(-1/0)", "1e308", "-1e-300", "5e-324", "(0/0)"]).to_owned(),
            2 => self
                .one(&[
                    "9007199254740993",
                    "2147483647",
                    "-2147483648",
                    "4294967296",
                    "9223372036854775807",
                    "1e15",
                    "123456789012345678",
                ])
                .to_owned(),
            3 => format!("{}.{}", self.random.below(1000), self.random.below(1_000_000)),
            4 => format!("-{}", self.random.below(100_000)),
            5 => format!("0x{:x}", self.random.below(1 << 32)),
            _ => format!("{}", self.random.below(100)),
        }
    }

    /// A quoted string.
    fn text(&mut self) -> String {
        match self.random.below(8) {
            0 => self
                .one(&[
                    "''",
                    "'a'",
                    "'hello world'",
                    "'10'",
                    "'0x1F'",
                    "' 5 '",
                    "'1e2'",
                    "'nan'",
                    "'\\0'",
                    "'a\\0b'",
                    "'\\255\\254'",
                    "'\"quoted\"'",
                    "'back\\\\slash/'",
                    "'\\n\\r\\t\\b\\f\\127'",
                    "'h\\195\\169'",
                    "'%'",
                    "'[[x]]'",
                ])
                .to_owned(),
            1 => {
                let bytes: String = (0..self.random.below(12)).map(|_| format!("\\{:03}", self.random.below(256))).collect();
                format!("'{bytes}'")
            }
            2 => format!("('{}'):rep({})", self.one(&["x", "ab", "\\0", "é"]), self.random.below(70)),
            _ => {
                let letters = self.random.below(10);
                let letters: String =
                    (0..letters).map(|_| char::from(b"abcxyzABC0123 .-_,:;"[self.random.below(20) as usize])).collect();
                format!("'{letters}'")
            }
        }
    }

    fn scalar(&mut self) -> String {
        match self.random.below(10) {
            0 => "nil".to_owned(),
            1 => "true".to_owned(),
            2 => "false".to_owned(),
            3..=5 => self.text(),
            _ => self.number(),
        }
    }

    /// Any value, of tables such whose keys come in one order only.
    fn value(&mut self, depth: u32) -> String {
        if depth > 3 || self.random.percent(50) {
            return self.scalar();
        }
        match self.random.below(8) {
            0 => "{}".to_owned(),
            1 => "cjson.null".to_owned(),
            2 => format!("{{[{}] = {}}}", self.key(), self.value(depth + 1)),
            3 => format!("{{[{}] = 1}}", self.random.below(15)),
            _ => format!("{{{}}}", self.list(6, |this| this.present(depth + 1))),
        }
    }

    /// A value other than nil: arrays have no holes.
    fn present(&mut self, depth: u32) -> String {
        match self.value(depth) {
            value if value == "nil" => "7".to_owned(),
            value => value,
        }
    }

    fn key(&mut self) -> String {
        match self.random.below(6) {
            0 => "true".to_owned(),
            1 => "1.5".to_owned(),
            2 => self.random.below(5).to_string(),
            _ => self.text(),
        }
    }

    fn arithmetic(&mut self) -> String {
        let expression = self.numeric(0);
        match self.random.below(6) {
            0 => format!("return tostring({expression})"),
            1 => format!("return try(function() return {expression}, {} end)", self.numeric(0)),
            2 => format!("return {expression}"),
            3 => format!(
                "local s = {} for i = {}, {}, {} do s = s {} i end return show(s)",
                self.number(),
                self.one(&["0", "1", "-3", "'2'", "1.5", "10"]),
                self.random.below(30),
                self.one(&["1", "2", "3.5", "-1"]),
                self.one(&["+", "-", "*"])
            ),
            4 => {
                let comparison = self.one(&["<", "<=", "==", "~=", ">", ">="]);
                format!("return try(function() return {} {comparison} {} end)", self.scalar(), self.scalar())
            }
            _ => format!(
                "return try(function() return {} {} {} end)",
                self.scalar(),
                self.one(&["+", "*", "..", "-", "/"]),
                self.scalar()
            ),
        }
    }

    fn numeric(&mut self, depth: u32) -> String {
        if depth > 3 || self.random.percent(30) {
            return if self.random.percent(10) { self.text() } else { self.number() };
        }
        let a = self.numeric(depth + 1);
        match self.random.below(12) {
            0 => format!("math.{}({a})", self.one(&["floor", "ceil", "abs", "sqrt", "modf", "frexp", "deg", "rad"])),
            1 if self.random.percent(50) => {
                format!("math.{}(num({a}), num({}))", self.one(&["max", "min"]), self.numeric(depth + 1))
            }
            1 => format!("math.{}({a}, {})", self.one(&["fmod", "atan2"]), self.numeric(depth + 1)),
            2 => format!("math.ldexp({a}, {})", self.random.below(40)),
            3 => format!("-({a})"),
            4 => format!("({a} % {})", self.numeric(depth + 1)),
            5 => format!("({a} ^ {})", self.one(&["2", "3", "0.5", "-1", "0", "10"])),
            6 => format!("tonumber({a})"),
            7 => format!("math.{}({a})", self.one(&["exp", "log", "log10", "sin", "cos", "tan"])),
            _ => format!("({a} {} {})", self.one(&["+", "-", "*", "/"]), self.numeric(depth + 1)),
        }
    }

    fn strings(&mut self) -> String {
        let s = self.text();
        let (i, j) = (self.index(), self.index());
        match self.random.below(14) {
            0 => format!("return try(string.sub, {s}, {i}, {j})"),
            1 => format!("return try(string.byte, {s}, {i}, {j})"),
            2 => format!("return try(string.char, {})", self.list(5, |this| this.random.below(260).to_string())),
            3 => format!("return try(string.{}, {s})", self.one(&["upper", "lower", "reverse", "len"])),
            4 => format!("return try(string.rep, {s}, {})", self.one(&["0", "-1", "3", "'2'", "2.7", "nil", "{}", "70"])),
            5 => {
                format!("return try(tonumber, {}, {})", self.numeral(), self.one(&["10", "16", "2", "36", "8", "nil", "1", "37"]))
            }
            6 => format!("return try(tonumber, {})", self.numeral()),
            7 => format!("return try(tostring, {})", self.scalar()),
            8 => format!("return try(function() return {s} .. {} .. {} end)", self.scalar(), self.number()),
            9 => format!("return try(function() return {s} {} {} end)", self.one(&["<", "<=", "==", ">"]), self.text()),
            10 => format!("return try(function() return #{s}, {s} + 1 end)"),
            11 => format!("return redis.sha1hex({s})"),
            12 => format!("return show(({s}):{}())", self.one(&["len", "upper", "reverse", "byte"])),
            _ => format!("return all(({s}):sub({i}), ({s}):byte(1, -1))"),
        }
    }

    fn index(&mut self) -> String {
        match self.random.below(6) {
            0 => "nil".to_owned(),
            1 => format!("-{}", self.random.below(8)),
            2 => self.one(&["1.5", "'2'", "100", "-100", "0", "{}"]).to_owned(),
            _ => self.random.below(12).to_string(),
        }
    }

    fn numeral(&mut self) -> String {
        self.one(&[
            "'10'",
            "'ff'",
            "'FF'",
            "'0xff'",
            "'zz'",
            "' 12 '",
            "'12a'",
            "''",
            "'1e3'",
            "'1.5'",
            "'-7'",
            "'+7'",
            "'0x'",
            "'1 2'",
            "'inf'",
            "'nan'",
            "'1e400'",
            "'.5'",
            "'5.'",
            "'0x1p4'",
            "'1_000'",
            "5",
            "true",
            "'\\0'",
            "'7\\0'",
            "'- 7'",
            "'1e'",
            "'99999999999999999999'",
            "'-0'",
            "'0x-1'",
            "'1010'",
        ])
        .to_owned()
    }

    fn pattern(&mut self) -> String {
        let pieces = 1 + self.random.below(4);
        let mut text = String::new();
        if self.random.percent(15) {
            text.push('^');
        }
        for _ in 0..pieces {
            let piece = self.one(&[
                "a", "b", ".", "%a", "%d", "%s", "%w", "%p", "%l", "%u", "%x", "[abc]", "[^abc]", "[a-z]", "[%d.]", "(a)",
                "(%a+)", "()", "%b()", "(.-)", "%%", "x", "%f[%w]", "[]]", "[^]]", " ", "(b(c))", "%c", "%z", "-",
            ]);
            text.push_str(piece);
            text.push_str(self.one(&["", "", "", "*", "+", "-", "?"]));
        }
        if self.random.percent(15) {
            text.push('$');
        }
        if self.random.percent(5) {
            text.push_str(self.one(&["[", "%", "(", ")", "%b", "%f"]));
        }
        format!("'{text}'")
    }

    fn patterns(&mut self) -> String {
        let (s, p) = (self.text(), self.pattern());
        match self.random.below(6) {
            0 => format!("return try(string.find, {s}, {p}, {}, {})", self.index(), self.one(&["nil", "true", "false"])),
            1 => format!("return try(string.match, {s}, {p}, {})", self.index()),
            2 => format!(
                "return try(string.gsub, {s}, {p}, {}, {})",
                self.one(&["'<%0>'", "'%1'", "'%%'", "'-'", "'%2'", "'%9'", "''"]),
                self.one(&["nil", "1", "0", "2"])
            ),
            3 => format!(
                "return try(string.gsub, {s}, {p}, function(...) return {} end)",
                self.one(&["...", "nil", "false", "'x'", "1", "select('#', ...)"])
            ),
            4 => format!("return try(string.gsub, {s}, {p}, {{a = 'A', b = false, x = 1, [''] = 'e'}})"),
            _ => format!(
                "return try(function() local r = {{}} for a, b in string.gmatch({s}, {p}) do r[#r + 1] = show(a) .. show(b) if #r > 50 then break end end return r end)"
            ),
        }
    }

    fn formats(&mut self) -> String {
        let mut format = String::new();
        let mut values = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let (letter, value) = match self.random.below(10) {
                0..=1 => ("d", self.number()),
                2 => ("s", self.scalar()),
                3 => ("q", self.text()),
                4 => (self.one(&["x", "X", "o"]), self.random.below(1 << 40).to_string()),
                5..=6 => (self.one(&["f", "e", "g", "E", "G"]), self.number()),
                7 => ("c", self.random.below(256).to_string()),
                8 => (self.one(&["i", "u"]), self.random.below(1 << 50).to_string()),
                _ => (self.one(&["d", "s", "x", "%", "y", "5"]), self.scalar()),
            };
            let flags = self.one(&["", "", "", "-", "+", "0", " ", "#", "-0"]);
            let width = self.one(&["", "", "", "5", "10", "3", "99", "100"]);
            let precision = if matches!(letter, "c" | "q") { "" } else { self.one(&["", "", "", ".0", ".3", ".10", ".99", "."]) };
            let literal = self.one(&["", " ", "x", "%%"]);
            format.push_str(&if letter == "q" {
                format!("{literal}%q")
            } else {
                format!("{literal}%{flags}{width}{precision}{letter}")
            });
            values.push(value);
        }
        if self.random.percent(5) {
            values.pop();
        }
        format!("return try(string.format, '{format}'{})", values.iter().map(|value| format!(", {value}")).collect::<String>())
    }

    /// The order of a table's keys: names and numbers, as far as it does not depend on addresses.
    fn order(&mut self) -> String {
        const NAMES: &[&str] = &[
            "id",
            "name",
            "email",
            "created_at",
            "updated",
            "kind",
            "status",
            "priority",
            "delay",
            "attempts",
            "data",
            "opts",
            "parent",
            "key",
            "value",
            "ts",
            "user",
            "count",
            "x",
            "y",
            "z",
            "a",
            "b",
            "price",
            "a_rather_long_name_of_more_than_32_bytes",
        ];
        let named = |this: &mut Self| format!("{} = {}", this.one(NAMES), this.random.below(100));
        let constructor = self.list(12, named);
        let mut changes = String::new();
        for _ in 0..self.random.below(16) {
            changes += &match self.random.below(10) {
                0..7 => format!("t.{} = {} ", self.one(NAMES), self.random.below(100)),
                7 => format!("t[{}] = {} ", 100 + self.random.below(1000), self.random.below(100)),
                8 => format!("t['k' .. {}] = 'v' ", self.random.below(40)),
                _ => format!("t[{}.5] = 1 ", self.random.below(40)),
            };
        }
        let shown = match self.random.below(3) {
            0 => "local o = {} for k in pairs(t) do o[#o + 1] = tostring(k) end return table.concat(o, ' ')",
            1 => "return try(cjson.encode, t)",
            _ => "return show(cmsgpack.pack(t))",
        };
        format!("local t = {{{constructor}}} {changes} {shown}")
    }

    fn tables(&mut self) -> String {
        let items = self.list(8, |this| this.present(2));
        let numbers = self.list(10, |this| (this.random.below(50) as i64 - 25).to_string());
        let words = self.list(6, |this| if this.random.percent(80) { this.text() } else { this.number() });
        let (i, j) = (self.index(), self.index());
        match self.random.below(14) {
            0 => format!("local t = {{{numbers}}} table.sort(t) return show(t)"),
            1 => format!(
                "local t = {{{numbers}}} return try(table.sort, t, function(a, b) return a {} b end) .. show(t)",
                self.one(&["<", ">"])
            ),
            2 => format!("local t = {{{words}}} return try(table.sort, t) .. #t"),
            3 => format!("return try(table.concat, {{{words}}}, {}, {i}, {j})", self.one(&["nil", "','", "''", "1", "{}"])),
            4 => format!("local t = {{{items}}} return try(table.insert, t, {i}) .. show(t)"),
            5 => format!("local t = {{{items}}} return try(table.insert, t, {}, {j}) .. show(t)", 1 + self.random.below(4)),
            6 => format!("local t = {{{items}}} return try(table.remove, t) .. try(table.remove, t, 1) .. show(t)"),
            7 => format!("return try(unpack, {{{items}}}, {i}, {j})"),
            8 => format!("return try(select, {}, {items})", self.one(&["1", "2", "-1", "'#'", "0", "-9", "20"]))
                .replace(", )", ")"),
            9 => format!("return all(#{{{items}}}, table.maxn({{{items}}}), next({{}}), rawlen)"),
            10 => format!("local r = {{}} for i, v in ipairs({{{items}}}) do r[#r + 1] = show(v) .. i end return r"),
            11 => {
                format!("local t = {{{items}}} t[#t + 1] = {} t[{}] = nil return show(t)", self.present(2), self.random.below(4))
            }
            12 => format!(
                "local t = setmetatable({{{items}}}, {{__index = function(t, k) return k end, __call = function(t, a) return a end, __tostring = function() return 'T' end}}) return all(t[{}], t({}), tostring(t), #t)",
                self.random.below(9),
                self.number()
            ),
            _ => format!(
                "return all(rawequal({0}, {0}), type({0}), rawget({{{items}}}, {1}))",
                self.scalar(),
                1 + self.random.below(4)
            ),
        }
    }

    /// JSON, and now and then what only looks like it.
    fn json(&mut self, depth: u32) -> String {
        let blank = |this: &mut Self| this.one(&["", "", "", " ", "\\n", "\\t"]).to_owned();
        let (before, after) = (blank(self), blank(self));
        let value = match self.random.below(if depth > 3 { 7 } else { 10 }) {
            0 => self.one(&["null", "true", "false", "nul", "True", "nan", "NaN", "inf", "-Infinity", "Inf"]).to_owned(),
            1..=2 => self
                .one(&[
                    "0",
                    "-1",
                    "12",
                    "1.5",
                    "-0",
                    "1e5",
                    "1E-3",
                    "01",
                    "+1",
                    ".5",
                    "5.",
                    "0x1F",
                    "1e400",
                    "-",
                    "1e",
                    "1.2.3",
                    "--1",
                    "9007199254740993",
                ])
                .to_owned(),
            3..=4 => {
                let inside = self.one(&[
                    "",
                    "a",
                    "hello",
                    "\\\\n",
                    "\\\\u0041",
                    "\\\\u00e9",
                    "\\\\ud83d\\\\ude00",
                    "\\\\ud83d",
                    "\\\\udc00",
                    "\\\\u12",
                    "\\\\x",
                    "/",
                    "\\\\/",
                    "é",
                    "\\127",
                    "\\001",
                    "\\\\\"",
                    "\\\\\\\\",
                    "\\\\u0000",
                    "\\0",
                    "\\\\",
                ]);
                format!("\"{inside}\"")
            }
            5..=6 => self.random.below(1000).to_string(),
            7..=8 => {
                let items = self.list(4, |this| this.json(depth + 1)).replace(", ", ",");
                format!("[{items}]")
            }
            _ => {
                let fields = self.list(3, |this| {
                    let key = this.one(&["a", "b", "c", "", "k\\\\n", "1"]);
                    format!("\"{key}\":{}", this.json(depth + 1))
                });
                format!("{{{}}}", fields.replace(", ", ","))
            }
        };
        let mut text = format!("{before}{value}{after}");
        if self.random.percent(4) {
            text.push_str(self.one(&["]", "}", ",", ":", "x", "\\0", "\"", "[", "{", "\\255"]));
        }
        text
    }

    fn cjson(&mut self) -> String {
        match self.random.below(12) {
            0..=3 => format!("return try(cjson.decode, '{}')", self.json(0)),
            4..=7 => format!("return try(cjson.encode, {})", self.value(0)),
            8 => format!("return try(function() return cjson.decode(cjson.encode({})) end)", self.value(0)),
            9 => {
                let option = self.one(&[
                    "encode_max_depth",
                    "decode_max_depth",
                    "encode_number_precision",
                    "encode_keep_buffer",
                    "encode_invalid_numbers",
                    "decode_invalid_numbers",
                    "encode_sparse_array",
                    "new",
                ]);
                format!("local c = cjson.new() return try(c.{option}, {})", self.list(4, |this| this.option()))
                    .replace(", )", ")")
            }
            10 => format!(
                "local c = cjson.new() c.encode_max_depth({}) c.decode_max_depth({}) return try(c.encode, {}) .. try(c.decode, '{}')",
                1 + self.random.below(3),
                1 + self.random.below(3),
                self.value(0),
                self.json(0)
            ),
            _ => format!(
                "local c = cjson.new() c.encode_invalid_numbers({}) c.decode_invalid_numbers({}) c.encode_number_precision({}) c.encode_sparse_array({}, {}, {}) return try(c.encode, {}) .. try(c.decode, '{}')",
                self.one(&["true", "false", "'null'", "'on'", "'off'"]),
                self.one(&["true", "false"]),
                1 + self.random.below(14),
                self.one(&["true", "false"]),
                self.random.below(4),
                self.random.below(12),
                self.value(0),
                self.json(0)
            ),
        }
    }

    fn option(&mut self) -> String {
        self.one(&[
            "1", "0", "14", "15", "-1", "1e10", "true", "false", "'on'", "'off'", "'null'", "'x'", "nil", "{}", "2.7", "'3'",
        ])
        .to_owned()
    }

    /// Bytes of MessagePack, well-formed or not.
    fn messagepack(&mut self) -> String {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..1 + self.random.below(5) {
            bytes.push(match self.random.below(4) {
                0 => 0xC0 + self.random.below(32) as u8,
                1 => self.random.below(0x80) as u8,
                2 => [0x81, 0x82, 0x91, 0x92, 0xA1, 0xA3, 0xDC, 0xDD, 0xDE, 0xDF, 0xD9, 0xDA][self.random.below(12) as usize],
                _ => self.random.below(256) as u8,
            });
            for _ in 0..self.random.below(9) {
                bytes.push(if self.random.percent(50) { self.random.below(4) as u8 } else { self.random.below(256) as u8 });
            }
        }
        let text: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
        format!("'{text}'")
    }

    fn cmsgpack(&mut self) -> String {
        match self.random.below(10) {
            0..=2 => format!("return try(cmsgpack.pack, {})", self.list(3, |this| this.value(0))).replace(", )", ")"),
            3..=4 => format!("return try(cmsgpack.unpack, {})", self.messagepack()),
            5 => format!("return try(cmsgpack.unpack_one, {}, {})", self.messagepack(), self.index()),
            6 => format!("return try(cmsgpack.unpack_limit, {}, {}, {})", self.messagepack(), self.index(), self.index()),
            7 => {
                format!("return try(function() return cmsgpack.unpack(cmsgpack.pack({}, {})) end)", self.value(0), self.value(0))
            }
            8 => format!("return try(cmsgpack.unpack, {})", self.scalar()),
            _ => {
                let (whole, cut) = (self.value(0), self.random.below(12));
                format!("return try(function() return cmsgpack.unpack(cmsgpack.pack({whole}):sub(1, -1 - {cut})) end)")
            }
        }
    }

    fn structs(&mut self) -> String {
        let mut format = String::new();
        let mut values = Vec::new();
        for _ in 0..1 + self.random.below(6) {
            let field = self.one(&[
                "b", "B", "h", "H", "l", "L", "T", "i", "I", "i1", "I3", "i8", "I8", "i16", "f", "d", "s", "c0", "c1", "c3", "x",
                "<", ">", "!", "!4", "!2", "!8", " ",
            ]);
            let field = if self.random.percent(3) {
                self.one(&["i33", "!3", "q", "c99999999999", "i0", "!0", "I9", "z", "%", "5", "\\0"])
            } else {
                field
            };
            format.push_str(field);
            match field.as_bytes()[0] {
                b's' | b'c' => values.push(self.text()),
                b'x' | b'<' | b'>' | b'!' | b' ' => {}
                _ => values.push(if self.random.percent(90) { self.number() } else { self.scalar() }),
            }
        }
        let values: String = values.iter().map(|value| format!(", {value}")).collect();
        match self.random.below(6) {
            0..=1 => format!("return try(struct.pack, '{format}'{values})"),
            2 => format!("return try(struct.size, '{format}')"),
            3 => format!("return try(struct.unpack, '{format}', {}, {})", self.text(), self.index()),
            4 => {
                let bytes: String = (0..self.random.below(40))
                    .map(|_| format!("\\{:03}", self.random.below(256) * self.random.below(2)))
                    .collect();
                format!("return try(struct.unpack, '{format}', '{bytes}', {})", self.index())
            }
            _ => format!("return try(function() return struct.unpack('{format}', struct.pack('{format}'{values})) end)"),
        }
    }

    fn bits(&mut self) -> String {
        let a = self.number();
        match self.random.below(5) {
            0 => format!("return try(bit.{}, {a})", self.one(&["tobit", "bnot", "bswap", "tohex"])),
            1 => format!(
                "return try(bit.{}, {a}, {})",
                self.one(&["lshift", "rshift", "arshift", "rol", "ror", "tohex"]),
                self.number()
            ),
            2 => format!("return try(bit.{}, {})", self.one(&["band", "bor", "bxor"]), self.list(4, Self::number))
                .replace(", )", ")"),
            3 => format!("return try(bit.{}, {}, {})", self.one(&["band", "lshift", "tohex"]), self.scalar(), self.scalar()),
            _ => format!("return try(bit.tohex, {a}, {})", self.one(&["8", "-8", "4", "-2", "0", "100", "nil", "1.5"])),
        }
    }

    /// A value to be returned: what becomes of it is the conversion's affair.
    fn reply(&mut self, depth: u32) -> String {
        if depth > 4 {
            return self.scalar();
        }
        match self.random.below(16) {
            0..=5 => self.scalar(),
            6..=8 => format!("{{{}}}", self.list(5, |this| this.reply(depth + 1))),
            9 => format!("{{ok = {}}}", self.one(&["'FINE'", "''", "'two words'", "'a\\r\\nb'", "'\\255'", "5"])),
            10 => format!("{{err = {}}}", self.one(&["'ERR broken'", "'broken'", "'-MY error'", "''", "'A\\r\\nB'", "5", "{}"])),
            11 => format!("{{double = {}}}", self.number()),
            12 => format!("{{map = {{[{}] = {}}}}}", self.key(), self.reply(depth + 1)),
            13 => format!("{{set = {{[{}] = true}}}}", self.key()),
            14 => format!("{{big_number = {}}}", self.one(&["'1234567890123456789012345'", "'x'", "5", "'1\\n2'", "''"])),
            _ => self
                .one(&[
                    "{verbatim_string = {format = 'txt', string = 'hi'}}",
                    "{verbatim_string = {format = 'mkd', string = '# hi'}}",
                    "{verbatim_string = {string = 'hi'}}",
                    "redis.status_reply('FINE')",
                    "redis.error_reply('My Error')",
                    "redis.error_reply('-WORD text')",
                    "{1, 2, nil, 4}",
                    "cjson.null",
                    "function() end",
                    "redis.status_reply({})",
                    "KEYS",
                    "ARGV",
                ])
                .to_owned(),
        }
    }

    fn commands(&mut self) -> String {
        let setup = "redis.call('flushall') redis.call('rpush', 'l', 'a', 'b', '3') redis.call('hset', 'h', 'f', 'v') \
                     redis.call('zadd', 'z', 1.5, 'm', 2, 'n') redis.call('sadd', 's', 'only') redis.call('set', 'k', 'text') \
                     redis.call('set', 'n', 10) redis.call('xadd', 'x', '1-1', 'f', 'v')\n";
        let resp = self.one(&["", "redis.setresp(3)", "redis.setresp(2)"]);
        let command = self.one(&[
            "'get', 'k'",
            "'get', 'none'",
            "'lrange', 'l', 0, -1",
            "'hgetall', 'h'",
            "'zrange', 'z', 0, -1, 'withscores'",
            "'zscore', 'z', 'm'",
            "'smembers', 's'",
            "'incr', 'n'",
            "'incrbyfloat', 'n', 1.5",
            "'ping'",
            "'type', 'k'",
            "'exists', 'k', 'none'",
            "'mget', 'k', 'none', 'n'",
            "'hget', 'h', 'none'",
            "'xrange', 'x', '-', '+'",
            "'lpop', 'none'",
            "'lpop', 'l', 2",
            "'object', 'encoding', 'n'",
            "'config', 'get', 'maxmemory'",
            "'set', 'k', 'v', 'nx'",
            "'set', 'k', 5",
            "'set', 'k', 5.5",
            "'set', 'k', 1e20",
            "'incr', 'k'",
            "'get'",
            "'nosuch', 1",
            "'lpush', 'k', 1",
            "'zincrby', 'z', 1, 'm'",
            "'hrandfield', 'none'",
            "'geoadd', 'geo', 13.5, 38.1, 'p'",
            "'zadd', 'z', 'x', 'm'",
            "'setex', 'k', 0, 'v'",
            "'bitcount', 'k'",
            "'zmscore', 'z', 'm', 'none'",
            "'echo', 'x'",
            "'sismember', 's', 'only'",
            "'multi'",
            "'watch', 'k'",
            "'subscribe', 'c'",
            "'blpop', 'none', 0",
            "'blpop', 'l', 0",
            "'eval', 'return 1', 0",
            "'keys', 'none*'",
            "'debug', 'protocol', 'double'",
            "'debug', 'protocol', 'map'",
            "'debug', 'protocol', 'attrib'",
            "'debug', 'protocol', 'bignum'",
            "'debug', 'protocol', 'null'",
            "'debug', 'protocol', 'set'",
            "'debug', 'protocol', 'true'",
            "'debug', 'protocol', 'verbatim'",
            "'debug', 'protocol', 'array'",
            "'debug', 'protocol', 'string'",
            "'debug', 'protocol', 'integer'",
        ]);
        let command = match self.random.below(20) {
            0 => String::new(),
            1 => self.list(3, Self::scalar),
            2 => format!("'set', 'k', {}", self.value(2)),
            3 => format!("'echo', {}", self.number()),
            _ => command.to_owned(),
        };
        match self.random.below(5) {
            0 => format!("{setup}{resp}\nreturn redis.call({command})"),
            1 => format!("{setup}{resp}\nreturn redis.pcall({command})"),
            2 => format!("{setup}{resp}\nreturn show(redis.pcall({command}))"),
            3 => format!("{setup}{resp}\nreturn try(redis.call, {command})").replace(", )", ")"),
            _ => format!("{setup}{resp}\nlocal r = redis.pcall({command}) return {{type(r), r}}"),
        }
    }

    fn errors(&mut self) -> String {
        let what = self.one(&[
            "error('boom')",
            "error('boom', 0)",
            "error('boom', 2)",
            "error({err = 'MY custom'})",
            "error({1, 2})",
            "error()",
            "error(nil)",
            "error(5)",
            "error(true)",
            "local x = nil; return x.y",
            "return nil + 1",
            "return {} .. 'x'",
            "return #5",
            "undefined = 1",
            "return undefined",
            "return undefined.field",
            "return redis.error_reply('x')",
            "redis.call()",
            "redis.call('get')",
            "redis.pcall()",
            "return redis.pcall('get')",
            "return redis.pcall('nosuch').err",
            "return {err = 'ERR from table'}",
            "return redis.error_reply('-CODE text')",
            "redis.setresp(4)",
            "redis.setresp()",
            "redis.sha1hex()",
            "redis.sha1hex(1, 2)",
            "redis.status_reply(1)",
            "return redis.error_reply()",
            "local f = function() error('deep') end f()",
            "return pcall(error)",
            "return select(2, pcall(error, {err = 'E x'})).err",
            "assert(false)",
            "assert(nil, 'msg')",
            "return xpcall(function() error('a') end, function(m) return 'handled ' .. m end)",
            "redis.log(redis.LOG_DEBUG, 'x')",
            "redis.log()",
            "redis.log(9, 'x')",
            "redis.set_repl(redis.REPL_ALL)",
            "redis.set_repl(77)",
            "redis.set_repl()",
            "return redis.REDIS_VERSION_NUM == nil",
            "string.rep()",
            "('x'):bad()",
            "return tostring()",
            "return setmetatable(1, {})",
            "rawset(_G, 'a', 1)",
            "return getmetatable('').__index == string",
            "redis.call = nil",
            "string.x = 1",
            "return loadstring('return 1 +')",
            "return loadstring('return 7')()",
            "return load(function() return nil end)",
            "local t = {} t[nil] = 1",
            "local t = {} t[0/0] = 1",
            "for i = 'a', 2 do end",
            "return 1 < 'x'",
            "return {} < {}",
            "return nil > 1",
            "return 'unfinished",
            "x = = 1",
            "return redis.acl_check_cmd('get', 'k')",
            "return redis.acl_check_cmd('nosuch')",
            "return redis.acl_check_cmd()",
            "redis.breakpoint()",
            "redis.debug('x')",
            "return redis.replicate_commands()",
            "return coroutine.wrap(function() return coroutine.yield(5) end)()",
            "return coroutine.resume(coroutine.create(function() error('in') end))",
            "return type(print)",
            "print('x')",
            "return type(os.clock())",
            "return type(require)",
            "return type(io)",
            "return math.random(0)",
            "return math.random(5, 1)",
            "return KEYS[1], ARGV[1]",
            "return #KEYS + #ARGV",
            "KEYS[1] = 'x' return KEYS[1]",
        ]);
        match self.random.below(3) {
            0 => what.to_owned(),
            1 => format!("local ok, e = pcall(function() {what} end) return show(ok) .. show(e)"),
            _ => format!("\n\n{what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_scripts() {
        let make = |seed| {
            let mut scripts = Scripts::new(seed, &[]);
            (0..500).map(|_| scripts.script()).collect::<Vec<_>>()
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }
}
