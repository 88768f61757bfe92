"""A session by redis-py against a server: python3 session.py PORT UNIX_SOCKET.

Runs over TCP and over the Unix socket, in RESP2 and in RESP3, and prints "ok". Exits with 77 where redis-py is missing or
older than 5, the first to speak RESP3.
"""

import sys

try:
    import redis

    if int(redis.__version__.split(".")[0]) < 5:
        raise ImportError
except ImportError:
    sys.exit(77)

PIPELINE = 10_000


def session(r, protocol):
    r.flushall()

    # Strings.
    assert r.set("greeting", "hello") is True
    assert r.append("greeting", " world") == 11
    assert r.get("greeting") == b"hello world"
    assert r.get("nothing") is None
    assert r.set("binary", b"\0\r\n\xff") and r.get("binary") == b"\0\r\n\xff"
    assert (r.incrby("n", 41), r.incr("n")) == (41, 42)
    assert r.mget("n", "nothing") == [b"42", None]
    try:
        r.lpush("greeting", "x")
        raise AssertionError("a string is no list")
    except redis.ResponseError as error:
        assert str(error).startswith("WRONGTYPE"), error

    # Expiry: a deadline that has passed takes the key at once, so that nobody needs to wait.
    assert r.set("short", "v", ex=100) and 99 <= r.ttl("short") <= 100
    assert r.persist("short") and r.ttl("short") == -1 and r.ttl("nothing") == -2
    assert r.expire("short", -1) and r.exists("short") == 0

    # Bitmaps.
    assert (r.setbit("bits", 1000, 1), r.setbit("bits", 1000, 1)) == (0, 1)
    assert (r.getbit("bits", 1000), r.getbit("bits", 1001)) == (1, 0)
    r.setbit("more", 7, 1)
    assert r.bitop("OR", "either", "bits", "more") == 126 and r.bitcount("either") == 2

    # HyperLogLog.
    assert (r.pfadd("visits", "ada", "bob"), r.pfadd("visits", "ada")) == (1, 0)
    r.pfadd("others", "eve")
    r.pfmerge("all", "visits", "others")
    assert (r.pfcount("visits"), r.pfcount("all")) == (2, 3)

    # What has a type of its own in RESP3 only; redis-py gives the same Python value for both.
    r.hset("hash", mapping={"field": "value"})
    assert r.hgetall("hash") == {b"field": b"value"}
    r.zadd("ranks", {"member": 1.5})
    assert r.zscore("ranks", "member") == 1.5
    assert r.execute_command("HELLO")[b"proto" if protocol == 3 else 5] == protocol

    # A long pipeline, then SCAN over what it made.
    pipeline = r.pipeline(transaction=False)
    for i in range(PIPELINE):
        pipeline.incrby(f"p:{i}", i)
    assert pipeline.execute() == list(range(PIPELINE))
    assert len(set(r.scan_iter(match="p:*", count=1000))) == PIPELINE


def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    for protocol in (2, 3):
        with redis.Redis(port=port, protocol=protocol) as r:
            session(r, protocol)
        with redis.Redis(unix_socket_path=path, protocol=protocol) as r:
            session(r, protocol)
    print("ok")


main()
