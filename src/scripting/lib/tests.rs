//! The libraries as scripts see them.

use super::ALL;
use crate::sys::lua::{LuaError, Machine, State};

const LIMIT: usize = 256 << 20;

/// Runs something on a stack as large as scripts have: the one of a test's thread is small.
fn on_a_large_stack(f: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, f);
        thread.unwrap().join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn machine() -> Machine {
    let mut machine = Machine::new(LIMIT).unwrap();
    let mut state = machine.state();
    state.push_globals().unwrap();
    for (name, open) in ALL {
        open(&mut state).unwrap();
        state.raw_set_field(1, name).unwrap();
    }
    state.set_top(0).unwrap();
    machine
}

fn run(state: &mut State, source: &str) -> Result<String, String> {
    let done = state.load(source.as_bytes(), c"@test").and_then(|()| state.call(0, 1));
    let text = String::from_utf8_lossy(state.text(-1).unwrap_or_default()).into_owned();
    state.set_top(0).unwrap();
    if done.is_ok() { Ok(text) } else { Err(text) }
}

/// Runs each expression and compares the result's text, or the error's after a `!`.
fn check(cases: &[(&str, &str)]) {
    on_a_large_stack(|| check_here(cases));
}

fn check_here(cases: &[(&str, &str)]) {
    let mut machine = machine();
    for (expression, expected) in cases {
        let mut state = machine.state();
        let result = match run(&mut state, &format!("return tostring(({expression}))")) {
            Ok(text) => text,
            Err(text) => format!("!{}", text.strip_prefix("test:1: ").unwrap_or(&text)),
        };
        assert_eq!(result, *expected, "{expression}");
    }
}

const HEX: &str = "(function(s) return (s:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) end)";

#[test]
fn json_is_written() {
    check(&[
        ("cjson.encode({1, 2.5, 'x', true, cjson.null, {}})", "[1,2.5,\"x\",true,null,{}]"),
        ("cjson.encode({a = {b = 'é/\"\\n\\127'}})", "{\"a\":{\"b\":\"é\\/\\\"\\n\\u007f\"}}"),
        ("cjson.encode({[1] = 1, [3] = 3})", "[1,null,3]"),
        ("cjson.encode({[1.5] = 1})", "{\"1.5\":1}"),
        ("cjson.encode({[11] = 1})", "!Cannot serialise table: excessively sparse array"),
        ("cjson.encode({[true] = 1})", "!Cannot serialise boolean: table key must be a number or string"),
        ("cjson.encode(print)", "!Cannot serialise function: type not supported"),
        ("cjson.encode(1/0)", "!Cannot serialise number: must not be NaN or Inf"),
        ("cjson.encode(1, 2)", "!bad argument #1 to 'encode' (expected 1 argument)"),
        ("(function() local t = {} t[1] = t return cjson.encode(t) end)()", "!Cannot serialise, excessive nesting (1001)"),
        ("cjson.encode(1e14) .. cjson.encode(0.1 + 0.2)", "1e+140.3"),
    ]);
}

#[test]
fn json_is_read() {
    check(&[
        ("cjson.decode('[1, 2.5e1, \"\\\\u00e9\\\\ud83d\\\\ude00\"]')[3]", "é😀"),
        ("cjson.decode('{\"a\":{\"b\":[true]}}').a.b[1]", "true"),
        ("cjson.decode('null') == cjson.null", "true"),
        ("cjson.decode('0x10') + cjson.decode('01')", "17"),
        ("cjson.decode('')", "!Expected value but found T_END at character 1"),
        ("cjson.decode('[1')", "!Expected comma or array end but found T_END at character 3"),
        ("cjson.decode('{1:2}')", "!Expected object key string but found T_NUMBER at character 2"),
        ("cjson.decode('[1] x')", "!Expected the end but found invalid token at character 5"),
        ("cjson.decode('\"\\\\ud800\"')", "!Expected value but found invalid unicode escape code at character 2"),
        ("cjson.decode('\"abc')", "!Expected value but found unexpected end of string at character 5"),
        ("cjson.decode('a\\0')", "!JSON parser does not support UTF-16 or UTF-32"),
        ("cjson.decode(('['):rep(1001))", "!Found too many nested data structures (1001) at character 1001"),
        ("cjson.decode({})", "!bad argument #1 to 'decode' (string expected, got table)"),
    ]);
}

#[test]
fn options_of_json_belong_to_an_instance() {
    check(&[
        ("table.concat({cjson.encode_max_depth(), cjson.encode_number_precision()}, ' ')", "1000 14"),
        (
            "(function() local c = cjson.new() c.encode_number_precision(3) return c.encode(math.pi) .. cjson.encode(math.pi) end)()",
            "3.143.1415926535898",
        ),
        ("(function() local c = cjson.new() c.encode_sparse_array(true) return c.encode({[20] = 1}) end)()", "{\"20\":1}"),
        ("(function() local c = cjson.new() c.encode_invalid_numbers('null') return c.encode({0/0}) end)()", "[null]"),
        (
            "(function() local c = cjson.new() c.decode_invalid_numbers(false) return c.decode('01') end)()",
            "!Expected value but found invalid number at character 1",
        ),
        ("cjson.encode_max_depth(0)", "!bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)"),
        ("cjson.encode_invalid_numbers('maybe')", "!bad argument #1 to 'encode_invalid_numbers' (invalid option 'maybe')"),
        ("cjson.encode_max_depth(1, 2)", "!bad argument #2 to 'encode_max_depth' (found too many arguments)"),
    ]);
}

#[test]
fn messagepack_is_written_and_read() {
    let hex = |of: &str| format!("{HEX}(cmsgpack.pack({of}))");
    for (of, expected) in [
        (
            "1, -1, 127, 128, -33, 65536, 2^32, 2^53, -2^31, -2^63",
            "01ff7fcc80d0dfce00010000cf0000000100000000cf0020000000000000d280000000d38000000000000000",
        ),
        ("0.5, 0.1, 1/0, 2^63", "ca3f000000cb3fb999999999999aca7f800000ca5f000000"),
        ("'', 'abc', nil, true, false", "a0a3616263c0c3c2"),
        ("{}, {1, {2}}, {a = 1}, {[2] = 1}", "909201910281a16101810201"),
    ] {
        check(&[(&hex(of), expected)]);
    }
    check(&[
        ("#cmsgpack.pack(('x'):rep(40)) + #cmsgpack.pack(('x'):rep(300)) + #cmsgpack.pack(('x'):rep(70000))", "70350"),
        ("cmsgpack.unpack(cmsgpack.pack({a = {1, 2}})).a[2]", "2"),
        ("select('#', cmsgpack.unpack('\\1\\2\\3'))", "3"),
        ("select(1, cmsgpack.unpack_one('\\1\\2'))", "1"),
        ("(cmsgpack.unpack_limit('\\1\\2\\3', 3))", "-1"),
        ("cmsgpack.unpack('\\207\\255\\255\\255\\255\\255\\255\\255\\254')", "-2"),
        ("cmsgpack.unpack('\\193')", "!Bad data format in input."),
        ("cmsgpack.unpack('\\221\\255\\255\\255\\255')", "!Missing bytes in input."),
        ("cmsgpack.unpack('\\129\\192\\1')", "!table index is nil"),
        ("cmsgpack.unpack_one('abc', 9)", "!Start offset 9 greater than input length 3."),
        ("cmsgpack.unpack_limit('abc', -1)", "!Invalid request to unpack with offset of 0 and limit of 3."),
        ("cmsgpack.pack()", "!bad argument #0 to 'pack' (MessagePack pack needs input.)"),
    ]);
}

#[test]
fn structures_are_written_and_read() {
    let hex = |of: &str| format!("{HEX}(struct.pack({of}))");
    for (of, expected) in [
        ("'>Bhi3', 255, -2, 66051", "fffffe010203"),
        ("'<!4 B i d', 1, 2, 0.5", "0100000002000000000000000000e03f"),
        ("'c0 s c2 x', 'ab', 'cd', 'efg'", "6162636400656600"),
        ("'>f', 1", "3f800000"),
    ] {
        check(&[(&hex(of), expected)]);
    }
    check(&[
        ("table.concat({struct.unpack('>b c0 H', '\\2ab\\1\\2')}, ' ')", "ab 258 6"),
        ("struct.size('!8 b d')", "16"),
        ("struct.unpack('', 'abc', -3)", "-3"),
        ("struct.unpack('i', 'abc')", "!bad argument #2 to 'unpack' (data string too short)"),
        ("struct.unpack('c0', 'abc')", "!format 'c0' needs a previous size"),
        ("struct.unpack('s', 'abc')", "!unfinished string in data"),
        ("struct.unpack('b', 'abc', -1)", "!bad argument #2 to 'unpack' (data string too short)"),
        ("struct.unpack('b', 'abc', 0)", "!bad argument #3 to 'unpack' (offset must be 1 or greater)"),
        ("struct.pack('i33', 1)", "!integral size 33 is larger than limit of 32"),
        ("struct.pack('c99999999999', '')", "!integral size overflow"),
        ("struct.pack('!3', 1)", "!alignment 3 is not a power of 2"),
        ("struct.pack('q')", "!bad argument #1 to 'pack' (invalid format option 'q')"),
        ("struct.pack('i')", "!bad argument #2 to 'pack' (number expected, got nil)"),
        ("struct.pack('c5', 'ab')", "!bad argument #3 to 'pack' (string too short)"),
        ("struct.size('s')", "!bad argument #1 to 'size' (option 's' has no fixed size)"),
    ]);
}

/// However deep a script lets it go, the stack ends it, and however small a value is that is written without end, memory does.
#[test]
fn nesting_and_length_have_an_end() {
    on_a_large_stack(|| {
        let mut machine = machine();
        machine.set_memory_limit(16 << 20);
        let mut state = machine.state();
        for (endless, expected) in [
            ("local c = cjson.new() c.encode_max_depth(2^31 - 1) local t = {} t[1] = t return c.encode(t)", "excessive nesting"),
            ("local c = cjson.new() c.decode_max_depth(2^31 - 1) return c.decode(('['):rep(1e6))", "too many nested"),
            ("return cmsgpack.unpack(('\\145'):rep(1e6))", "stack overflow"),
            ("return cmsgpack.unpack(('\\129'):rep(1e6))", "stack overflow"),
            ("return cmsgpack.unpack(('\\1'):rep(1e6))", "stack overflow (too many return values at once"),
            ("return struct.unpack(('b'):rep(1e6), ('x'):rep(1e6))", "stack overflow (too many results)"),
            ("local t = {'x'} for i = 1, 100 do t = {t, t} end return cjson.encode(t)", "not enough memory"),
            ("local t = {'x'} for i = 1, 14 do t = {t, t, t, t, t, t, t, t} end return cmsgpack.pack(t)", "not enough memory"),
        ] {
            let error = run(&mut state, endless).unwrap_err();
            assert!(error.contains(expected), "{endless}: {error}");
            state.collect();
        }
        // One that takes long can be ended like any other script.
        state.set_hook(Some((|_| Err(LuaError::text("ended")), 1_000_000)));
        let slow = "local t = {} for i = 1, 5 do t = {t, t, t, t, t, t, t, t} end ";
        for ended in ["return cjson.encode(t)", "return cmsgpack.pack(t)"] {
            assert_eq!(run(&mut state, &format!("{slow}{ended}")), Err("test:1: ended".into()));
        }
    });
}

#[test]
fn bits_are_operated_on() {
    check(&[
        ("bit.band(0xff, 0x0f, -1) .. bit.bor(1, 2, 4) .. bit.bxor(3, 5)", "1576"),
        ("bit.tobit(0xffffffff) .. ' ' .. bit.tobit(2^40 + 5) .. ' ' .. bit.bnot(0)", "-1 5 -1"),
        ("bit.lshift(1, 33) .. ' ' .. bit.rshift(-1, 28) .. ' ' .. bit.arshift(-8, 2)", "2 15 -2"),
        ("bit.tohex(-1) .. bit.tohex(255, 4) .. bit.tohex(255, -2) .. bit.tohex(bit.bswap(1))", "ffffffff00ffFF01000000"),
        ("bit.tohex(bit.rol(0x12345678, 12)) .. bit.tohex(bit.ror(0x12345678, 0))", "4567812312345678"),
        ("bit.band('x')", "!bad argument #1 to 'band' (number expected, got string)"),
        ("bit.lshift(1)", "!bad argument #2 to 'lshift' (number expected, got no value)"),
    ]);
}

/// Random and mutated input to the decoders, `REDSTART_FUZZ_SECONDS` for each (1), or only for that of `REDSTART_FUZZ_LIBRARY`:
/// errors, and nothing worse.
#[test]
fn decoders_survive_any_input() {
    on_a_large_stack(fuzz);
}

fn fuzz() {
    use std::time::{Duration, Instant};
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = std::env::var("REDSTART_FUZZ_LIBRARY").unwrap_or_default();
    let seconds = Duration::from_secs(setting("REDSTART_FUZZ_SECONDS").unwrap_or(1));
    let mut rng = crate::clock::Rng::seeded(setting("REDSTART_FUZZ_SEED").unwrap_or(1));
    let mut below = move |n: usize| rng.index(n);
    let json: &[&[u8]] = &[
        b"{\"a\":[1,2.5,-3e10,null,true,false],\"b\":{\"c\":\"\\u00e9\\ud83d\\ude00\\n\\\\\"}}",
        b"[[[[[[]]]]],{},\"\",0x1F,nan,-Infinity,1e400]",
    ];
    let packed: &[&[u8]] = &[
        b"\x01\xa3abc\x93\x01\x02\x03\x81\xa1a\xcb\x3f\xf0\0\0\0\0\0\0\xdc\0\x02\xc0\xc3\xdf\0\0\0\x01\x01\x02",
        b"\xd9\x05hello\xda\0\x02hi\xdb\0\0\0\x01x\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0\0\0\0\0\0\xca\x7f\xc0\0\0",
    ];
    let formats: &[&[u8]] = &[b">!8bBhHlLTi3I8fdsc0xc4<!", b"i32I9!4 dcs>i1c0"];
    for (script, samples, with_format) in [
        ("return cjson.encode(cjson.decode(input))", json, false),
        ("pcall(cmsgpack.unpack_one, input, 1) return cmsgpack.pack(cmsgpack.unpack(input))", packed, false),
        (
            "pcall(struct.size, format) pcall(struct.pack, format, 1, 2, 3, 4, 5, 6) return struct.unpack(format, input)",
            formats,
            true,
        ),
    ] {
        if !script.contains(&only) {
            continue;
        }
        let mut machine = machine();
        let began = Instant::now();
        let mut rounds = 0_u64;
        while began.elapsed() < seconds || rounds < 1000 {
            rounds += 1;
            let mut mutated = || {
                let mut input = samples[below(samples.len())].to_vec();
                for _ in 0..1 + below(6) {
                    let at = below(input.len().max(1)).min(input.len());
                    match below(7) {
                        0 => input.truncate(at),
                        1 => input.insert(at, below(256) as u8),
                        2 => input.extend_from_within(at..),
                        3 => input = (0..below(64)).map(|_| below(256) as u8).collect(),
                        4 => {
                            let piece = samples[below(samples.len())];
                            input.splice(at..at, piece[below(piece.len())..].iter().copied()).for_each(drop);
                        }
                        5 if at < input.len() => input[at] = input[at].wrapping_add(below(3) as u8).wrapping_sub(1),
                        _ if at < input.len() => input[at] = [0, 0xFF, 0x7F, 0x80, 0xDD, 0xDF, b'"', b'[', b'0'][below(9)],
                        _ => {}
                    }
                    input.truncate(1 << 16);
                }
                input
            };
            let mut state = machine.state();
            state.push_globals().unwrap();
            let format = mutated();
            let input = if with_format { vec![below(256) as u8; below(200)] } else { mutated() };
            for (name, bytes) in [("input", input), ("format", format)] {
                state.push_bytes(&bytes).unwrap();
                state.raw_set_field(1, name).unwrap();
            }
            state.set_top(0).unwrap();
            let _ = run(&mut state, script);
            if rounds.is_multiple_of(1000) {
                state.collect();
                assert!(state.memory() < LIMIT / 16, "{script}: {} bytes stay", state.memory());
            }
        }
        println!("{rounds} inputs for {script}");
    }
}
