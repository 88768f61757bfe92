//! What a script says about itself: the flags in its first line (`#!lua flags=no-writes`), or those of a registered function.

/// Flags of a script or function, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u8);

impl Flags {
    pub const NO_WRITES: u8 = 1 << 0;
    pub const ALLOW_OOM: u8 = 1 << 1;
    pub const ALLOW_STALE: u8 = 1 << 2;
    pub const NO_CLUSTER: u8 = 1 << 3;
    pub const ALLOW_CROSS_SLOT: u8 = 1 << 4;
    /// The script has no first line of that kind: it may do what scripts could always do.
    const COMPATIBLE: u8 = 1 << 7;

    /// Names, in the order in which they are listed.
    const NAMES: [(&'static str, u8); 5] = [
        ("no-writes", Flags::NO_WRITES),
        ("allow-oom", Flags::ALLOW_OOM),
        ("allow-stale", Flags::ALLOW_STALE),
        ("no-cluster", Flags::NO_CLUSTER),
        ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT),
    ];

    /// Those of a script that says nothing.
    pub const fn compatible() -> Self {
        Flags(Flags::COMPATIBLE)
    }

    /// True for a script that says nothing.
    pub fn is_compatible(self) -> bool {
        self.0 & Flags::COMPATIBLE != 0
    }

    /// True if it has any of these bits.
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// Adds a flag by its name; false if there is no such.
    pub fn add(&mut self, name: &[u8]) -> bool {
        let found = Flags::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        self.0 |= found.map_or(0, |(_, bit)| *bit);
        found.is_some()
    }

    /// The names of the flags it has.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Flags::NAMES.iter().filter(move |(_, bit)| self.has(*bit)).map(|(name, _)| *name)
    }
}

/// Splits the first line off a script: its flags, and the source that is left, which begins with the line's end, so that lines
/// keep their numbers.
///
/// # Errors
/// The text for the client.
pub fn of_script(script: &[u8]) -> Result<(Flags, &[u8]), Vec<u8>> {
    if !script.starts_with(b"#!") {
        return Ok((Flags::compatible(), script));
    }
    let end = memchr::memchr(b'\n', script).ok_or(b"ERR Invalid script shebang")?;
    let (line, source) = script.split_at(end);
    let words = crate::config::split_words(line).ok_or(b"ERR Invalid engine in script shebang")?;
    let mut words = words.iter().map(|word| &**word);
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err([b"ERR Unexpected engine in script shebang: ", engine].concat());
    }
    let mut flags = Flags::default();
    for word in words {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", word].concat());
        };
        for name in list.split(|byte| *byte == b',').filter(|_| !list.is_empty()) {
            if !flags.add(name) {
                return Err([b"ERR Unexpected flag in script shebang: ", name].concat());
            }
        }
    }
    Ok((flags, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_the_flags() {
        let (flags, source) = of_script(b"#!lua flags=no-writes,allow-oom\nreturn 1").unwrap();
        assert_eq!(flags.names().collect::<Vec<_>>(), ["no-writes", "allow-oom"]);
        assert_eq!(source, b"\nreturn 1");
        assert!(of_script(b"return 1").unwrap().0.is_compatible());
        assert_eq!(of_script(b"#!lua flags=\n").unwrap().0, Flags::default());
        let refusal = |script: &[u8]| String::from_utf8(of_script(script).unwrap_err()).unwrap();
        assert_eq!(refusal(b"#!lua"), "ERR Invalid script shebang");
        assert_eq!(refusal(b"#!foo\n"), "ERR Unexpected engine in script shebang: #!foo");
        assert_eq!(refusal(b"#!lua name=x\n"), "ERR Unknown lua shebang option: name=x");
        assert_eq!(refusal(b"#!lua flags=foo\n"), "ERR Unexpected flag in script shebang: foo");
    }
}
