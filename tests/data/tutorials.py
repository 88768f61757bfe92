"""Programs as tutorials for redis-py teach them, against a server: python3 tutorials.py PORT.

Each runs in RESP2 and in RESP3. Prints "ok"; exits with 77 where redis-py is missing or older than 5.
"""

import sys
import threading
import time

try:
    import redis

    if int(redis.__version__.split(".")[0]) < 5:
        raise ImportError
except ImportError:
    sys.exit(77)

THREADS = 50
PATIENCE = 10


def in_threads(count, work):
    """Runs work(number) in so many threads; the first exception of any is raised here."""
    failures = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def connection_pool(connect):
    """Threads share one pool: there are never more connections than it allows, and all of them serve again and again."""
    r = connect(max_connections=10, blocking=True)
    name = "pool-%d" % id(r)
    r.connection_pool.connection_kwargs["client_name"] = name

    def work(number):
        for step in range(20):
            assert r.set("pool:%d" % number, step) and int(r.get("pool:%d" % number)) == step

    in_threads(THREADS, work)
    mine = [client for client in r.client_list() if client["name"] == name]
    assert 1 <= len(mine) <= 10, len(mine)
    r.connection_pool.disconnect()


def optimistic_counter(connect):
    """A counter read, increased and written back under WATCH loses no step, however many threads compete."""
    r, steps = connect(), 10
    r.delete("counter")

    def work(_):
        for _ in range(steps):
            with r.pipeline() as pipe:
                while True:
                    try:
                        pipe.watch("counter")
                        value = int(pipe.get("counter") or 0)
                        pipe.multi()
                        pipe.set("counter", value + 1)
                        pipe.execute()
                        break
                    except redis.WatchError:
                        continue

    in_threads(THREADS, work)
    assert int(r.get("counter")) == THREADS * steps, r.get("counter")


def subscriber_thread(connect):
    """A thread of redis-py calls handlers of channels and patterns with every message, in order."""
    r, heard = connect(), []
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(**{"news": lambda message: heard.append(message["data"])})
    pubsub.psubscribe(**{"weather.*": lambda message: heard.append((message["channel"], message["data"]))})
    thread = pubsub.run_in_thread(sleep_time=0.01)
    wait_for(lambda: r.pubsub_numsub("news") == [(b"news", 1)] and r.pubsub_numpat() == 1)
    for number in range(100):
        assert r.publish("news", number) == 1
    assert r.publish("weather.oslo", "rain") == 1
    wait_for(lambda: len(heard) == 101)
    thread.stop()
    thread.join()
    assert heard == [b"%d" % number for number in range(100)] + [(b"weather.oslo", b"rain")]


def order_cancelled_by_expiry(connect):
    """An order that is not paid in time is cancelled by the event of its key's expiry, soon after it is due."""
    r, orders, delay = connect(), 200, 0.5
    r.config_set("notify-keyspace-events", "Ex")
    r.delete("orders")
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("__keyevent@0__:expired")
    pubsub.get_message(timeout=PATIENCE)
    for number in range(orders):
        r.hset("orders", number, "open")
    due = time.time() + delay
    for number in range(orders):
        r.set("unpaid:%d" % number, "", pxat=int(due * 1000))
    paid = 0
    for number in range(0, orders, 2):
        # On a slow machine time is up before all of them are paid.
        if r.delete("unpaid:%d" % number):
            r.hset("orders", number, "paid")
            paid += 1
    cancelled = 0
    while cancelled < orders - paid:
        message = pubsub.get_message(timeout=PATIENCE)
        assert message is not None, "an expiry that nobody was told of"
        number = message["data"].split(b":")[1]
        assert time.time() >= due - 0.001, "too early"
        assert r.hget("orders", number) == b"open"
        r.hset("orders", number, "cancelled")
        cancelled += 1
    # Nobody asked for the keys: the sweep alone has to find them.
    assert time.time() - due < 2, "%.1f s late" % (time.time() - due)
    states = r.hvals("orders")
    assert (states.count(b"paid"), states.count(b"cancelled")) == (paid, orders - paid)
    pubsub.close()
    r.config_set("notify-keyspace-events", "")


def delay_queue(connect):
    """Workers that compete for the tasks of a sorted set, each due at its score, run every task once and none too early."""
    r, tasks, workers = connect(), 400, 8
    r.delete("queue", "done")
    start = time.time()
    r.zadd("queue", {"task-%d" % number: start + number % 4 * 0.1 for number in range(tasks)})
    done, lock = [], threading.Lock()

    def work(_):
        while r.zcard("queue"):
            for task, due in r.zrangebyscore("queue", 0, time.time(), start=0, num=1, withscores=True):
                if r.zrem("queue", task) == 1:
                    assert time.time() >= due
                    r.incr("done")
                    with lock:
                        done.append(task)

    in_threads(workers, work)
    assert sorted(done) == sorted(b"task-%d" % number for number in range(tasks))
    assert int(r.get("done")) == tasks


def client_side_cache(connect):
    """What one connection has read it is told of when another one changes it (RESP3 only)."""
    reader, writer = connect(), connect()
    with reader.client() as c:
        c.execute_command("CLIENT", "TRACKING", "ON")
        writer.set("cached", "old")
        assert c.get("cached") == b"old"
        writer.set("cached", "new")
        heard = []
        parser = c.connection._parser
        if hasattr(parser, "set_invalidation_push_handler"):
            parser.set_invalidation_push_handler(heard.append)
        assert c.get("cached") == b"new"
        if hasattr(parser, "set_invalidation_push_handler"):
            assert heard == [[b"invalidate", [b"cached"]]], heard


def wait_for(condition):
    end = time.time() + PATIENCE
    while not condition():
        assert time.time() < end, "it never came to be"
        time.sleep(0.01)


def main(port):
    for protocol in (2, 3):

        def connect(max_connections=None, blocking=False):
            kind = redis.BlockingConnectionPool if blocking else redis.ConnectionPool
            limit = {"max_connections": max_connections} if max_connections else {}
            return redis.Redis(connection_pool=kind(host="127.0.0.1", port=port, protocol=protocol, **limit))

        programs = [connection_pool, optimistic_counter, subscriber_thread, order_cancelled_by_expiry, delay_queue]
        for program in programs + ([client_side_cache] if protocol == 3 else []):
            try:
                program(connect)
            except BaseException:
                print("in %s, RESP%d" % (program.__name__, protocol), file=sys.stderr)
                raise
    print("ok")


main(int(sys.argv[1]))
