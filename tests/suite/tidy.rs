//! Reads the sources as text and holds them to the rules that the compiler does not know: who may use whom, where
//! `unsafe` may stand, how a file opens and how long it is, and that every command has a test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The layers from the bottom up. A file may use modules of its own layer and of those before it.
const LAYERS: &[&[&str]] = &[
    &["types", "clock", "raw", "sys"],
    &["ds"],
    &["resp", "config", "histogram", "stats", "latency", "logging", "outbound"],
    &["keyspace"],
    &["acl", "session"],
    &["stream"],
    &["persist", "check", "migration", "replication", "cluster", "sentinel", "scripting"],
    &["command", "world"],
    &["commands"],
    &["dispatch"],
    &["engine"],
    &["net"],
    &["server"],
    &["testkit"],
];

/// Uses against the order of the layers: file, module, why it must be.
const LAYER_EXCEPTIONS: &[(&str, &str, &str)] =
    &[("ds/sorted_set/pack.rs", "resp", "scores are stored as the text that the wire shows")];

/// Files that belong to no layer, as they name all of them.
const WITHOUT_LAYER: &[&str] = &["lib.rs", "main.rs"];

/// Where `unsafe` may stand.
const UNSAFE_FOLDERS: &[&str] = &["raw", "sys"];

/// Lines a file may have.
const LINES_MAX: usize = 1000;

/// Files that are longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Commands without a test, with the reason.
const UNTESTED: &[(&str, &str)] = &[];

/// A source file.
struct Source {
    /// Relative to its root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The lines before its tests, with their numbers, without comments and the contents of strings.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        let end = self.text.find("#[cfg(test)]\nmod tests").unwrap_or(self.text.len());
        numbered(strip(&self.text[..end]))
    }

    /// All lines, tests included, likewise.
    fn all_code(&self) -> impl Iterator<Item = (usize, String)> {
        numbered(strip(&self.text))
    }

    /// The folder or file directly below the root that it belongs to.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }
}

fn numbered(text: String) -> impl Iterator<Item = (usize, String)> {
    text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter().enumerate().map(|(at, line)| (at + 1, line))
}

/// Blanks out comments and the contents of strings; line breaks stay.
fn strip(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    let skip = |out: &mut String, from: usize, to: usize| out.extend(text[from..to].chars().filter(|c| *c == '\n'));
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            text[at..].find('\n').map_or(bytes.len(), |end| at + end)
        } else if rest.starts_with(b"/*") {
            text[at + 2..].find("*/").map_or(bytes.len(), |end| at + end + 4)
        } else if let Some(hashes) = raw_string(bytes, at) {
            let mark = format!("\"{}", "#".repeat(hashes));
            let open = at + 2 + hashes;
            text[open..].find(&mark).map_or(bytes.len(), |end| open + end + mark.len())
        } else if rest[0] == b'"' {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            (end + 1).min(bytes.len())
        } else if rest.starts_with(b"'\"'") {
            at + 3
        } else if rest.starts_with(b"'\\") {
            text[at + 3..].find('\'').map_or(bytes.len(), |end| at + end + 4)
        } else {
            let next = text[at..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&text[at..at + next]);
            at += next;
            continue;
        };
        skip(&mut out, at, end);
        at = end;
    }
    out
}

/// The number of `#` of a raw string that opens at `at`.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if bytes[at] != b'r' || (at > 0 && word(&bytes[at - 1]) && bytes[at - 1] != b'b') {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// All `.rs` files below a folder of the project.
fn sources(folder: &str) -> Vec<Source> {
    fn walk(root: &Path, folder: PathBuf, out: &mut Vec<Source>) {
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                out.push(Source { path: name, text });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut out = Vec::new();
    walk(&root, root.clone(), &mut out);
    out.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!out.is_empty(), "no sources in {folder}");
    out
}

fn report(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Whole words of a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// Modules that a line names after `crate::`, also in braces on the same line.
fn used_modules(line: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let mut depth = 0;
        match rest.strip_prefix('{') {
            None => modules.extend(words(rest).next()),
            Some(list) => {
                for part in list.split_inclusive(['{', '}', ',']) {
                    if depth == 0 {
                        modules.extend(words(part.trim_start()).next().filter(|word| !word.is_empty()));
                    }
                    depth += if part.ends_with('{') { 1 } else { 0 };
                    if part.ends_with('}') {
                        depth -= 1;
                    }
                    if depth < 0 {
                        break;
                    }
                }
            }
        }
    }
    modules
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let sources = sources("src");
    let known: BTreeSet<&str> = sources.iter().map(Source::module).collect();
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !WITHOUT_LAYER.contains(&source.path.as_str())) {
        let Some(own) = layer(source.module()) else {
            found.push(format!("src/{}: {} has no layer in tests/suite/tidy.rs", source.path, source.module()));
            continue;
        };
        for (number, line) in source.code() {
            for module in used_modules(&line) {
                let excepted = LAYER_EXCEPTIONS.iter().any(|(file, other, _)| *file == source.path && *other == module);
                // Macros and items of the crate root belong to no module.
                if known.contains(module) && !excepted && layer(module).is_some_and(|other| other > own) {
                    found.push(format!("src/{}:{number}: {} must not use {module}", source.path, source.module()));
                }
            }
        }
    }
    report("a module may use its own layer and those below", found);
}

#[test]
fn unsafe_stays_behind_its_fence() {
    let mut found = Vec::new();
    for source in sources("src") {
        let original: Vec<&str> = source.text.lines().collect();
        // Comments that stand above line `number`, attributes and statements that the line continues left out.
        let above = |number: usize, mark: &str| {
            let mut at = number - 1;
            while at > 0 {
                at -= 1;
                let line = original[at].trim();
                if line.starts_with("//") && line.contains(mark) {
                    return true;
                }
                if !(line.starts_with("//") || line.starts_with("#[") || line.ends_with(['=', '(', ',', '{', '|', '&'])) {
                    return false;
                }
            }
            false
        };
        for (number, line) in source.all_code() {
            if !words(&line).any(|word| word == "unsafe")
                || line.trim_start().starts_with("#!")
                || line.trim_start().starts_with("#[")
            {
                continue;
            }
            let place = format!("src/{}:{number}", source.path);
            let code = line.trim();
            if !UNSAFE_FOLDERS.contains(&source.module()) {
                found.push(format!("{place}: unsafe outside {}", UNSAFE_FOLDERS.join(" and ")));
            } else if code.contains("unsafe fn") && !code.contains("unsafe fn(") {
                // Methods of a trait have their contract there.
                let indent = line.len() - line.trim_start().len();
                let outer = original[..number - 1].iter().rev().find(|line| {
                    !line.trim().is_empty()
                        && line.len() - line.trim_start().len() < indent
                        && !line.trim_start().starts_with("where")
                });
                let of_trait = outer.is_some_and(|outer| outer.contains("impl") && outer.contains(" for "));
                if !of_trait && !above(number, "# Safety") {
                    found.push(format!("{place}: an unsafe fn without a section # Safety"));
                }
            } else if (code.contains("unsafe {") || code.contains("unsafe impl"))
                && !above(number, "SAFETY:")
                && !original[number - 1].contains("SAFETY:")
            {
                found.push(format!("{place}: no // SAFETY: above"));
            }
        }
    }
    report("unsafe code has a home and a reason", found);
}

#[test]
fn files_open_with_what_they_are_for() {
    let mut found = Vec::new();
    for folder in ["src", "tests/suite"] {
        for source in sources(folder) {
            if !source.text.starts_with("//!") {
                found.push(format!("{folder}/{}", source.path));
            }
        }
    }
    report("a file opens with //! and what lives there", found);
}

#[test]
fn nothing_is_left_unfinished() {
    const MACROS: &[&str] = &["todo!", "unimplemented!", "dbg!"];
    let mut found = Vec::new();
    for source in sources("src") {
        for (number, line) in source.all_code() {
            found.extend(
                MACROS.iter().filter(|name| line.contains(*name)).map(|name| format!("src/{}:{number}: {name}", source.path)),
            );
        }
    }
    report("no placeholders", found);
}

#[test]
fn files_hold_one_noun() {
    let mut found = Vec::new();
    for source in sources("src") {
        let lines = source.text.lines().count();
        if lines > LINES_MAX && !LONG_FILES.iter().any(|(file, _)| *file == source.path) {
            found.push(format!("src/{}: {lines} lines", source.path));
        }
    }
    report("more than 1,000 lines are a folder", found);
}

#[test]
fn every_command_has_a_test() {
    let rows: Vec<Source> = sources("src").into_iter().filter(|source| source.module() == "commands").collect();
    let suite: String = sources("tests/suite").into_iter().map(|source| source.text.to_ascii_uppercase()).collect();
    let mentions = |text: &str, name: &str| {
        let boundary = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
        text.match_indices(name)
            .any(|(at, _)| boundary(text[..at].chars().next_back()) && boundary(text[at + name.len()..].chars().next()))
    };
    let mut found = Vec::new();
    for source in &rows {
        let tests = source.text.find("#[cfg(test)]").map_or(String::new(), |at| source.text[at..].to_ascii_uppercase());
        for (at, mark) in source.text.match_indices("name: \"") {
            let name = source.text[at + mark.len()..].split('"').next().unwrap_or_default();
            // Arguments and other things have names too; commands are in upper case.
            let command =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "|-_".contains(c));
            let spoken = name.replace('|', " ");
            let tested = mentions(&suite, &spoken) || mentions(&suite, name) || mentions(&tests, &spoken);
            if command && !tested && !UNTESTED.iter().any(|(untested, _)| *untested == name) {
                found.push(format!("{name} (src/{})", source.path));
            }
        }
    }
    report("a command is tested in tests/suite or beside it", found);
}

#[test]
fn the_reader_sees_code_only() {
    let text = "let a = \"crate::x \\\" unsafe\"; // unsafe\nlet b = r#\"todo!\"#; /* dbg! */ let c = '\"'; use crate::{a::{b, c}, d};\n";
    let stripped = strip(text);
    assert!(!stripped.contains("unsafe") && !stripped.contains("todo!") && !stripped.contains("dbg!"), "{stripped}");
    assert_eq!(stripped.lines().count(), 2);
    assert_eq!(used_modules(stripped.lines().nth(1).unwrap()), ["a", "d"]);
    assert_eq!(used_modules("use crate::raw::bytes::Bytes; crate::ds::x()"), ["raw", "ds"]);
}
