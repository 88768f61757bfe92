//! Published vulnerabilities of Lua scripting, one test each: the script that hurt, and our answer. (CVE-2026-23631, a full
//! sync while a script waits, is about replication.)

use redstart::resp::request::OwnedRequest;
use redstart::scripting::MEMORY_MAX;
use redstart::testkit::Kit;

/// Runs scripts one after another in one server, each on the interpreter that the ones before left.
struct Scripts(Kit);

impl Scripts {
    fn new() -> Self {
        Scripts(Kit::new())
    }

    fn run(&mut self, script: &str) -> String {
        self.0.run_request(&OwnedRequest::build([&b"EVAL"[..], script.as_bytes(), b"0"]))
    }

    /// The script fails with an error that tells this, and the next one runs as if nothing had been.
    fn fails(&mut self, script: &str, expected: &str) {
        let reply = self.run(script);
        assert!(reply.starts_with('-') && reply.contains(expected), "{script}: {reply}");
        self.is_well();
    }

    fn returns(&mut self, script: &str, expected: &str) {
        assert_eq!(self.run(script), expected, "{script}");
        self.is_well();
    }

    fn is_well(&mut self) {
        assert_eq!(self.run("return redis.call('incr', 'alive') > 0 and ('x'):rep(3) .. #cjson.encode({1})"), "\"xxx3\"");
        let (used, _) = self.0.world.scripting.vm_bytes();
        assert!(used <= MEMORY_MAX, "{used} bytes");
    }
}

/// CVE-2018-11218: cmsgpack pushed as many values as its input claimed, and recursed as deep as tables were nested.
#[test]
fn cve_2018_11218_cmsgpack_of_any_depth_and_count() {
    let mut scripts = Scripts::new();
    scripts.fails("return cmsgpack.unpack(('\\145'):rep(1e6))", "stack overflow");
    scripts.fails("return cmsgpack.unpack(('\\129'):rep(1e6))", "stack overflow");
    scripts.fails("return cmsgpack.unpack(('\\1'):rep(1e6))", "too many return values");
    scripts.fails("return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes in input");
    scripts.fails("return cmsgpack.unpack('\\223\\255\\255\\255\\255')", "Missing bytes in input");
    scripts.fails("return cmsgpack.unpack('\\219\\255\\255\\255\\255x')", "Missing bytes in input");
    scripts.fails("return cmsgpack.unpack_limit('\\1\\2', 2147483647, -2147483648)", "Invalid request to unpack");
    // A table that holds itself is cut off at the sixteenth level, as in the original.
    scripts.returns("local t = {} t[1] = t return #cmsgpack.pack(t)", "17");
    scripts.returns("local t = {} t.x = {t} return #cmsgpack.pack(t) < 100 and 1", "1");
}

/// CVE-2018-11219: sizes in the formats of struct overflowed when they were added up.
#[test]
fn cve_2018_11219_struct_sizes_that_overflow() {
    let mut scripts = Scripts::new();
    for format in ["'I2147483648'", "'i4294967296'", "'>I99999999999999999999'", "'!2147483648 i'"] {
        scripts.fails(&format!("return struct.pack({format}, 1)"), "");
        scripts.fails(&format!("return struct.unpack({format}, ('x'):rep(100))"), "");
    }
    scripts.fails("return struct.unpack('c2147483647c2147483647c2', 'x')", "data string too short");
    scripts.returns("return struct.size('c2147483647c2147483647c2147483647')", "6442450941");
    scripts.fails("return struct.unpack('b', 'abc', -1)", "data string too short");
    scripts.fails("return struct.unpack('c0', 'x', 2147483647)", "");
    scripts.fails("return struct.unpack(('b'):rep(1e6), ('x'):rep(1e6))", "too many results");
}

/// CVE-2020-14147: the fix of the above was undone by a change of the type of a number.
#[test]
fn cve_2020_14147_struct_numbers_at_the_limit() {
    let mut scripts = Scripts::new();
    for digits in ["2147483647", "2147483648", "4294967295", "18446744073709551615", "18446744073709551616"] {
        for option in ["I", "i", "c", "!"] {
            let script =
                format!("return {{pcall(struct.unpack, '{option}{digits}', 'abc'), pcall(struct.size, '{option}{digits}')}}");
            scripts.run(&script);
            scripts.is_well();
        }
        scripts.fails(&format!("return struct.pack('I{digits}', 10)"), "");
    }
}

/// CVE-2021-32626: values were pushed for replies and arguments without asking whether the stack had room.
#[test]
fn cve_2021_32626_more_values_than_the_stack_holds() {
    // The engine's thread has more stack than a test's.
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(too_many_values).unwrap();
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn too_many_values() {
    let mut scripts = Scripts::new();
    scripts.fails(
        "local t = {} for i = 1, 1e6 do t[i] = i end return redis.call('rpush', 'l', unpack(t))",
        "too many results to unpack",
    );
    // What is nested too deeply ends in an error where the depth ends.
    for endless in ["local t = {} t[1] = t return t", "local t = 1 for i = 1, 1e5 do t = {t} end return t"] {
        let reply = scripts.run(endless);
        assert!(reply.contains("-ERR reached lua stack limit"), "{endless}: {reply}");
        scripts.is_well();
    }
    scripts.fails("return select('#', string.byte(('x'):rep(1e6), 1, -1))", "string slice too long");
    scripts.fails("local function f(...) return f(1, ...) end return f()", "stack overflow");
    scripts.fails(
        "return ('x'):rep(1e5):gsub('x', function() local t = {} t[1] = t; return cjson.encode(t) end)",
        "excessive nesting",
    );
    let deep = "local s = 'x' local function f() return (s:gsub('x', f)) end return f()";
    scripts.fails(deep, "stack overflow");
    // A reply that is nested and long.
    scripts
        .returns("for i = 1, 5000 do redis.call('xadd', 's', i, 'f', i) end return #redis.call('xrange', 's', '-', '+')", "5000");
}

/// CVE-2021-32672: the debugger's protocol was read past its end. Ours reads requests like any other.
#[test]
fn cve_2021_32672_debugger_commands_of_any_bytes() {
    let mut scripts = Scripts::new();
    scripts.returns("redis.breakpoint() redis.debug('x') return 1", "1");
    scripts.0.run("SCRIPT DEBUG SYNC");
    scripts.run("local a = 'x'\nreturn a");
    for command in ["hello\0world", "hello\0", "\0hello", "\0", "''", "*1", "$1024", "p \0", "b \0", "l \0", "r \0"] {
        let reply = scripts.0.run(command);
        assert!(reply.starts_with("[+"), "{command}: {reply}");
    }
    assert_eq!(scripts.0.run("c"), "[+<endsession>] ;; \"x\"");
}

/// CVE-2022-24735: a script could change functions that scripts of other users call.
#[test]
fn cve_2022_24735_nothing_that_others_run_can_be_changed() {
    let mut scripts = Scripts::new();
    for change in [
        "redis.call = print",
        "redis = {}",
        "rawset(redis, 'call', 1)",
        "rawset(_G, 'x', 1)",
        "_G.x = 1",
        "string.rep = nil",
        "table.insert(redis, 1)",
        "setmetatable(_G, {})",
        "setmetatable(redis, nil)",
        "getmetatable(_G).__index = nil",
        "getmetatable(redis).__index = {}",
        "getmetatable('').__index = {}",
        "cjson.encode = nil",
        "cmsgpack.pack = nil",
        "math.random = function() return 4 end",
        "table.sort(redis) redis.x = 1",
        "local e = getfenv(1) e.x = 1",
        "setfenv(1, {})",
    ] {
        let reply = scripts.run(&format!("{change} return 1"));
        assert!(reply.starts_with('-'), "{change}: {reply}");
        scripts.is_well();
    }
    scripts.returns(
        "return {type(redis.call), type(string.rep), type(cjson.encode), getmetatable('').__index == string and 1 or 0}",
        "[\"function\", \"function\", \"function\", 1]",
    );
}

/// CVE-2022-24736: a crafted script made the messages of errors read through a null pointer.
#[test]
fn cve_2022_24736_errors_without_a_name_or_place() {
    let mut scripts = Scripts::new();
    scripts.fails("return loadstring('local x = ... return x.y.z', '')({})", "attempt to index");
    scripts.fails("return loadstring('return nil + 1', '=')()", "arithmetic");
    scripts.fails("return loadstring('x()', '@\\0')()", "");
    scripts.fails("return coroutine.wrap(function() error() end)()", "");
    scripts.fails("error(nil)", "");
    scripts.fails("error(setmetatable({}, {__tostring = function() error('again') end}))", "");
    scripts.fails("return (nil)()", "attempt to call");
    scripts.fails("return ({})..''", "concatenate");
    scripts.fails("return load(function() error('x') end)()", "");
    scripts.fails("local f = loadstring('\\27Lua') return f()", "");
    scripts.fails("local f = loadstring(string.rep('(', 1e6)) return f()", "");
}

/// CVE-2022-24834: the buffers of cjson and cmsgpack doubled until their size overflowed.
#[test]
fn cve_2022_24834_huge_input_to_cjson_and_cmsgpack() {
    let mut scripts = Scripts::new();
    scripts.fails("local s = ('\\1'):rep(1e8) return #cjson.encode({s, s, s})", "not enough memory");
    scripts.fails("local s = ('\"'):rep(2^28) return #cjson.encode(s)", "not enough memory");
    scripts.fails("local s = ('x'):rep(2^27) return #cmsgpack.pack(s, s, s, s, s)", "not enough memory");
    scripts.fails("local t = {'x'} for i = 1, 40 do t = {t, t} end return cjson.encode(t)", "not enough memory");
    scripts.fails("return ('x'):rep(2^31 - 1)", "");
    // Numbers beyond the range of counts are negative ones, as in the original.
    for count in ["2^31", "2^31 + 1", "2^62", "1/0", "-2^31"] {
        scripts.run(&format!("return #('xy'):rep({count})"));
        scripts.is_well();
    }
    scripts.fails("local s = 'x' while true do s = s .. s end", "");
}

/// CVE-2024-31449: bit.tohex with the least integer ran over its buffer.
#[test]
fn cve_2024_31449_bit_tohex_of_any_width() {
    let mut scripts = Scripts::new();
    scripts.returns("return bit.tohex(65535, -2147483648)", "\"0000FFFF\"");
    scripts.returns("return bit.tohex(65535, 2147483647)", "\"0000ffff\"");
    scripts.returns("return bit.tohex(65535, 0)", "\"\"");
    scripts.returns("return bit.tohex(-2147483648, -1)", "\"0\"");
    scripts.returns("return #bit.tohex(2^52, -2^31) + bit.lshift(1, -2147483648) + bit.rol(1, 2147483647)", "-2147483639");
}

/// CVE-2024-46981: a finalizer ran while the interpreter was closed, and reached what was gone.
#[test]
fn cve_2024_46981_no_finalizers() {
    let mut scripts = Scripts::new();
    scripts.fails("return newproxy(true)", "nonexistent global variable 'newproxy'");
    for round in ["FLUSH", "FLUSH SYNC", "FLUSH ASYNC"] {
        scripts.returns(
            "local t = setmetatable({}, {__gc = function() redis.call('set', 'gone', 1) end}) t = nil collectgarbage() return 1",
            "1",
        );
        assert_eq!(scripts.0.run(&format!("SCRIPT {round}")), "+OK");
        assert_eq!(scripts.0.run("EXISTS gone"), "0");
    }
}

/// CVE-2025-46817: the number of values that `unpack` was asked for overflowed.
#[test]
fn cve_2025_46817_unpack_of_impossible_ranges() {
    let mut scripts = Scripts::new();
    for range in ["0, 2147483647", "-2147483648, 2147483647", "-2, 2147483647", "1, 2^31 - 1", "-1e9, 1e9", "1, 1e9"] {
        scripts.fails(&format!("return {{unpack({{1, 2, 3}}, {range})}}"), "too many results to unpack");
    }
    scripts.returns("return select('#', unpack({}, 2147483647, -2147483648))", "0");
    scripts.returns("return select('#', unpack({}, 2147483646, 2147483647))", "2");
    scripts.returns("return select('#', unpack({1, 2}, -1, 2))", "4");
}

/// CVE-2025-46818: the metatables of basic types could be changed, and with them what scripts of other users do.
#[test]
fn cve_2025_46818_metatables_of_basic_types() {
    let mut scripts = Scripts::new();
    scripts.fails("getmetatable('').__index = function() return 'mine' end", "Attempt to modify a readonly table");
    scripts.fails("rawset(getmetatable(''), '__index', 1)", "Attempt to modify a readonly table");
    scripts.fails("setmetatable(getmetatable(''), {})", "Attempt to modify a readonly table");
    scripts.fails("getmetatable('').__index.rep = nil", "Attempt to modify a readonly table");
    for value in ["1", "true", "nil", "print", "redis.call"] {
        let reply = scripts.run(&format!("getmetatable({value}).__index = {{}} return 1"));
        assert!(reply.starts_with('-'), "{value}: {reply}");
        let reply = scripts.run(&format!("setmetatable({value}, {{}}) return 1"));
        assert!(reply.starts_with('-'), "{value}: {reply}");
    }
    scripts.returns("return ('abc'):upper()", "\"ABC\"");
}

/// CVE-2025-46819: the parser read past the end of long brackets whose level it had counted in too small a number.
#[test]
fn cve_2025_46819_long_brackets_of_any_level() {
    let mut scripts = Scripts::new();
    for level in [10_usize, 1 << 16, (1 << 20) + 1] {
        let equals = "=".repeat(level);
        scripts.returns(&format!("return [{equals}[x]{equals}]"), "\"x\"");
        scripts.fails(&format!("return [{equals}[x]{equals}"), "unfinished long string");
        scripts.fails(&format!("return [{equals}"), "");
        scripts.fails(&format!("return 1 --[{equals}[ x"), "unfinished long comment");
    }
    scripts.fails("local s = '[' .. ('='):rep(2^26) return loadstring('return ' .. s)()", "");
}

/// CVE-2025-49844: a string that only the parser held was collected while it went on to use it.
#[test]
fn cve_2025_49844_garbage_is_collected_while_a_script_is_parsed() {
    let mut scripts = Scripts::new();
    // Chunk names and texts that nothing else holds, under a collector that never rests.
    let script = "
        local ok = 0
        for i = 1, 2000 do
            local text = 'local a' .. i .. ' = \"' .. ('x'):rep(i % 300) .. i .. '\" return a' .. i .. ', function() return \"' .. i .. '\" end'
            local f = loadstring(text, '@' .. ('n'):rep(i % 100) .. i)
            collectgarbage('step')
            if i % 100 == 0 then collectgarbage() end
            local a, g = f()
            if g() == tostring(i) and #a == i % 300 + #tostring(i) then ok = ok + 1 end
        end
        return ok";
    scripts.returns(script, "2000");
    let script = "
        local n = 0
        local f = load(function()
            n = n + 1
            collectgarbage()
            if n < 200 then return 'local v' .. n .. ' = \"' .. ('y'):rep(n) .. '\" ' .. (n % 100 == 0 and 'do end ' or '') end
            if n == 200 then return 'return v150' end
        end, ('z'):rep(1000) .. n)
        return f and #f() or 'no'";
    scripts.returns(script, "150");
    // A parser that runs out of memory or of nesting.
    scripts.fails("return loadstring(('{'):rep(1e6))()", "");
    scripts.fails("return loadstring(('do '):rep(1e5))()", "");
    scripts.fails("return loadstring('return ' .. ('-'):rep(1, ' ') .. ('not '):rep(1e6) .. '1')()", "");
    scripts.fails("return loadstring('return ' .. ('a.'):rep(1e5) .. 'b')()", "");
    scripts.fails("return loadstring('local ' .. ('a,'):rep(1e4) .. 'b')()", "");
    scripts.fails("return loadstring('return ' .. ('function() return '):rep(1e4) .. ('end '):rep(1e4))()", "");
}
