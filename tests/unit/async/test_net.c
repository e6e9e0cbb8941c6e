/* Streams against real peers: socat-like Python servers over unix, TCP and TLS. */
#include "async_test.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "core/async/dns.h"
#include "core/async/net.h"
#include "core/async/proc.h"
#include "core/async/wait.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
static char dir[64];

/* One script plays all peers; it prints the port (or "ready") and obeys the first line it gets. */
static const char PEER[] =
    "import socket,ssl,sys,threading,time,struct\n"
    "kind,where=sys.argv[1],sys.argv[2]\n"
    "if kind=='unix':\n"
    "  l=socket.socket(socket.AF_UNIX); l.bind(where); l.listen(64); print('0',flush=True)\n"
    "else:\n"
    "  l=socket.socket(); l.bind(('127.0.0.1',0)); l.listen(64); print(l.getsockname()[1],flush=True)\n"
    "ctx=None\n"
    "if kind.startswith('tls'):\n"
    "  ctx=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); ctx.load_cert_chain(where+'/srv.pem',where+'/srv.key')\n"
    "  if kind=='tls12': ctx.maximum_version=ssl.TLSVersion.TLSv1_2\n"
    "  if kind=='tls11': ctx.set_ciphers('DEFAULT@SECLEVEL=0'); ctx.minimum_version=ssl.TLSVersion.TLSv1_1;"
    " ctx.maximum_version=ssl.TLSVersion.TLSv1_1\n"
    "  if kind=='tlsauth': ctx.verify_mode=ssl.CERT_REQUIRED; ctx.load_verify_locations(where+'/ca.pem')\n"
    "def line(c):\n"
    "  b=b''\n"
    "  while not b.endswith(b'\\n'):\n"
    "    x=c.recv(1)\n"
    "    if not x: return b''\n"
    "    b+=x\n"
    "  return b.strip()\n"
    "def serve(c):\n"
    "  try:\n"
    "    raw=c\n"
    "    if ctx: c=ctx.wrap_socket(c,server_side=True,suppress_ragged_eofs=False)\n"
    "    cmd=line(c).split()\n"
    "    if cmd[0]==b'echo':\n"
    "      while True:\n"
    "        b=c.recv(65536)\n"
    "        if not b: break\n"
    "        c.sendall(b)\n"
    "      c.sendall(b'EOF seen')\n"
    "      if ctx:\n"
    "        try: c.unwrap()\n"
    "        except Exception: pass\n"
    "    elif cmd[0]==b'send':\n"
    "      c.sendall(b'x'*int(cmd[1]))\n"
    "      if ctx:\n"
    "        try: c.unwrap()\n"
    "        except Exception: pass\n"
    "    elif cmd[0]==b'cut': c.sendall(b'partial'); raw.shutdown(socket.SHUT_RDWR) if not ctx else c.close()\n"
    "    elif cmd[0]==b'reset':\n"
    "      raw.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,struct.pack('ii',1,0)); c.close(); return\n"
    "    elif cmd[0]==b'sink': time.sleep(300)\n"
    "    elif cmd[0]==b'hello': c.sendall(b'hello'); time.sleep(300)\n"
    "    c.close()\n"
    "  except Exception as e: print('peer:',repr(e),file=sys.stderr)\n"
    "while True:\n"
    "  c,_=l.accept(); threading.Thread(target=serve,args=(c,),daemon=True).start()\n";

struct peer {
    struct proc *p;
    int port;
};

static struct peer peer_start(const char *kind, const char *where) {
    struct peer r = {0};
    OK(proc_spawn(&(struct proc_conf){.argv = ARGV("/usr/bin/python3", "-c", PEER, kind, where), .pipe_stdout = true},
                  &r.p));
    struct str out;
    OK(stream_read(proc_stdout(r.p), loop_now() + 10000, &out));
    int64_t port = 0;
    OK(str_to_i64(str_trim(out), 0, 65535, &port));
    r.port = (int)port;
    return r;
}

static struct stream *dial(int port, const char *cmd) {
    struct stream *s;
    OK(net_connect_tcp("127.0.0.1", port, loop_now() + 5000, &s));
    OK(stream_write(s, cmd, strlen(cmd), loop_now() + 5000));
    return s;
}

static size_t read_to_end(struct stream *s, err_t *ret_e) {
    size_t n = 0;
    for (struct str b;;) {
        *ret_e = stream_read(s, loop_now() + 10000, &b);
        if (*ret_e != NULL || b.n == 0)
            return n;
        n += b.n;
    }
}

static void echo_roundtrip(struct stream *s) {
    static char big[60000];
    memset(big, 'q', sizeof(big));
    OK(stream_write(s, "abc", 3, DEADLINE_NONE));
    struct str got;
    OK(stream_read(s, loop_now() + 5000, &got));
    CHECK(str_eqz(got, "abc"));
    stream_unread(s, 2);
    OK(stream_read(s, loop_now() + 5000, &got));
    CHECK(str_eqz(got, "bc"));
    CHECK(stream_idle_ok(s));
    FAILS(ERR_TIMEOUT, stream_read(s, loop_now() + 10, &got));
    OK(stream_write(s, big, sizeof(big), loop_now() + 5000));
    OK(stream_shutdown_write(s, loop_now() + 5000));
    FAILS(ERR_IO, stream_write(s, "x", 1, DEADLINE_NONE));
    err_t e;
    CHECK(read_to_end(s, &e) == 60000 + 8);
    OK(e);
    CHECK(!stream_idle_ok(s));
}

TEST(unix_streams) {
    char *path = arena_printf(arena_current(), "%s/sock", dir);
    struct peer p = peer_start("unix", path);
    struct stream *s;
    OK(net_connect_unix(path, loop_now() + 5000, &s));
    OK(stream_write(s, "echo\n", 5, DEADLINE_NONE));
    echo_roundtrip(s);
    stream_close(s);
    proc_close(p.p);
    FAILS(ERR_UNAVAILABLE, net_connect_unix("/nonexistent/sock", loop_now() + 100, &s));
    FAILS(ERR_INVALID, net_connect_unix("", DEADLINE_NONE, &s));
    char *too_long = arena_zalloc(arena_current(), 200);
    memset(too_long, 'a', 199);
    FAILS(ERR_INVALID, net_connect_unix(too_long, DEADLINE_NONE, &s));
    return NULL;
}

TEST(unix_backlog_full_is_waited_for) {
    char *path = arena_printf(arena_current(), "%s/full", dir);
    int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 0) == 0);
    struct stream *a, *b;
    OK(net_connect_unix(path, loop_now() + 100, &a));
    FAILS(ERR_UNAVAILABLE, net_connect_unix(path, loop_now() + 60, &b));
    stream_close(a);
    close(l);
    return NULL;
}

TEST(tcp_streams) {
    struct peer p = peer_start("tcp", "-");
    struct stream *s = dial(p.port, "echo\n");
    echo_roundtrip(s);
    stream_close(s);
    OK(net_connect_tcp("localhost", p.port, loop_now() + 5000, &s));
    stream_close(s);
    s = dial(p.port, "reset\n");
    struct str got;
    FAILS(ERR_IO, stream_read(s, loop_now() + 5000, &got));
    FAILS(ERR_IO, stream_write(s, "x", 1, loop_now() + 5000));
    stream_close(s);
    err_t e;
    s = dial(p.port, "send 1000000\n");
    OK(fiber_sleep(20)); /* more than a buffer arrives unread: the transport must stop reading, then go on */
    CHECK(read_to_end(s, &e) == 1000000);
    OK(e);
    stream_close(s);
    proc_close(p.p);
    FAILS(ERR_UNAVAILABLE, net_connect_tcp("127.0.0.1", 1, loop_now() + 1000, &s));
    return NULL;
}

static err_t blocked_writer(void *arg) {
    static char big[16 << 20];
    return stream_write(arg, big, sizeof(big), DEADLINE_NONE);
}
static err_t blocked_reader(void *arg) {
    struct str b;
    return stream_read(arg, DEADLINE_NONE, &b);
}

TEST(cancel_and_close_under_parked_fibers) {
    struct peer p = peer_start("tcp", "-");
    struct stream *s = dial(p.port, "sink\n");
    struct fiber *w = fiber_spawn("w", NULL, blocked_writer, s), *r = fiber_spawn("r", NULL, blocked_reader, s);
    OK(fiber_sleep(30));
    fiber_cancel(r);
    FAILS(ERR_CANCELLED, fiber_join(r));
    fiber_cancel(w);
    FAILS(ERR_CANCELLED, fiber_join(w));
    FAILS(ERR_IO, stream_write(s, "x", 1, DEADLINE_NONE)); /* cut short: framing unknown */
    CHECK(!stream_idle_ok(s));
    stream_close(s);
    s = dial(p.port, "sink\n");
    w = fiber_spawn("w", NULL, blocked_writer, s);
    r = fiber_spawn("r", NULL, blocked_reader, s);
    OK(fiber_sleep(30));
    stream_close(s);
    FAILS(ERR_IO, fiber_join(r));
    FAILS(ERR_IO, fiber_join(w));
    proc_close(p.p);
    return NULL;
}

/* ---- pump mode ---- */

struct sink {
    struct stream *s;
    size_t n, calls;
    int ended;
    enum err_code code;
    struct latch done;
    bool pause_each, close_at_first;
    struct timer resume;
};

static void do_resume(void *arg) {
    struct sink *k = arg;
    stream_resume(k->s);
}

static void on_bytes(void *arg, struct str b, err_t e) {
    struct sink *k = arg;
    CHECK(!fiber_on_fiber() && k->ended == 0);
    k->calls++;
    if (b.n == 0 || e != NULL) {
        k->ended++;
        k->code = e ? e->code : 0;
        latch_down(&k->done);
        return;
    }
    k->n += b.n;
    if (k->close_at_first) {
        stream_close(k->s);
        latch_down(&k->done);
    } else if (k->pause_each) {
        stream_pause(k->s);
        timer_start(&k->resume, k->calls % 3, 0);
    }
}

static void sink_run(struct sink *k, struct stream *s) {
    k->s = s;
    latch_init(&k->done, 1);
    timer_init(&k->resume, do_resume, k);
    stream_pump(s, on_bytes, k);
    OK(latch_wait(&k->done, loop_now() + 20000));
    timer_close(&k->resume);
}

static void pump_all(struct stream *(*open)(struct peer *p, const char *cmd), struct peer *p) {
    struct sink k = {0};
    struct stream *s = open(p, "send 3000000\n");
    sink_run(&k, s);
    CHECK(k.n == 3000000 && k.ended == 1 && k.code == 0);
    stream_close(s);
    k = (struct sink){.pause_each = true};
    s = open(p, "send 1500000\n");
    OK(fiber_sleep(10));
    sink_run(&k, s);
    CHECK(k.n == 1500000 && k.ended == 1 && k.code == 0);
    stream_close(s);
    k = (struct sink){.close_at_first = true};
    sink_run(&k, open(p, "send 1500000\n"));
    CHECK(k.calls == 1);
    /* first by fiber, then by pump: what was buffered comes first */
    s = open(p, "send 200000\n");
    struct str b;
    OK(stream_read(s, loop_now() + 5000, &b));
    size_t first = b.n - 5;
    stream_unread(s, 5);
    k = (struct sink){0};
    sink_run(&k, s);
    CHECK(first + k.n == 200000);
    stream_close(s);
}

static struct stream *open_tcp(struct peer *p, const char *cmd) { return dial(p->port, cmd); }

static void count_drained(void *arg) { ++*(int *)arg; }

TEST(pumps) {
    struct peer p = peer_start("tcp", "-");
    pump_all(open_tcp, &p);
    /* push with a queue that drains */
    struct stream *s = dial(p.port, "echo\n");
    struct sink k = {0};
    int drained = 0;
    stream_on_drained(s, count_drained, &drained);
    char *big = calloc(1, 40000000);
    size_t queued = stream_push(s, big, 40000000);
    free(big);
    CHECK(queued > 0);
    stream_shutdown_push(s);
    CHECK(stream_push(s, "late", 4) == queued);
    sink_run(&k, s);
    CHECK(k.n == 40000000 + 8 && drained == 1);
    stream_close(s);
    /* a peer that never reads: the queue has a ceiling */
    s = dial(p.port, "sink\n");
    k = (struct sink){0};
    big = calloc(1, 30 << 20);
    for (int i = 0; i < 4; i++)
        (void)stream_push(s, big, 30 << 20);
    free(big);
    sink_run(&k, s);
    CHECK(k.code == ERR_TOO_LARGE && stream_write_broken(s));
    stream_close(s);
    proc_close(p.p);
    return NULL;
}

/* ---- TLS ---- */

static const char *slurp(const char *name) {
    char *path = arena_printf(arena_current(), "%s/%s", dir, name), text[16384];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t n = read(fd, text, sizeof(text));
    CHECK(n > 0 && n < (ssize_t)sizeof(text));
    close(fd);
    return arena_strndup(arena_current(), text, (size_t)n);
}

static void make_certs(void) {
    static bool made;
    if (made)
        return;
    made = true;
    static const char script[] =
        "cd $0 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -subj /CN=test-ca -days 30 &&"
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout srv.key -out srv.csr -subj /CN=ignored.example &&"
        "printf 'subjectAltName=DNS:good.example,DNS:*.wild.example,IP:127.0.0.1' > ext &&"
        "openssl x509 -req -in srv.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out srv.pem &&"
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout cli.key -out cli.csr -subj /CN=client &&"
        "openssl x509 -req -in cli.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out cli.pem";
    OK(proc_run(&(struct proc_conf){.argv = ARGV("sh", "-c", script, dir)}, loop_now() + 20000, KIB(16), NULL));
}

static err_t tls_dial(int port, struct tls_client_conf conf, struct stream **ret) {
    struct stream *plain;
    OK(net_connect_tcp("127.0.0.1", port, loop_now() + 5000, &plain));
    return net_tls_client(plain, &conf, loop_now() + 5000, ret);
}

static struct stream *open_tls(struct peer *p, const char *cmd) {
    struct stream *s;
    OK(tls_dial(p->port, (struct tls_client_conf){.ca_pem = slurp("ca.pem"), .server_name = "good.example"}, &s));
    OK(stream_write(s, cmd, strlen(cmd), loop_now() + 5000));
    return s;
}

TEST(tls_moves_bytes) {
    make_certs();
    const char *kinds[] = {"tls", "tls12"};
    for (size_t i = 0; i < 2; i++) {
        struct peer p = peer_start(kinds[i], dir);
        struct stream *s = open_tls(&p, "echo\n");
        echo_roundtrip(s);
        stream_close(s);
        pump_all(open_tls, &p);
        err_t e;
        s = open_tls(&p, "send 1000000\n");
        OK(fiber_sleep(20));
        CHECK(read_to_end(s, &e) == 1000000);
        OK(e);
        stream_close(s);
        s = open_tls(&p, "cut\n"); /* an end without close_notify is not an end */
        CHECK(read_to_end(s, &e) == 7);
        FAILS(ERR_IO, e);
        stream_close(s);
        s = open_tls(&p, "sink\n");
        struct fiber *w = fiber_spawn("w", NULL, blocked_writer, s), *r = fiber_spawn("r", NULL, blocked_reader, s);
        OK(fiber_sleep(30));
        fiber_cancel(w);
        FAILS(ERR_CANCELLED, fiber_join(w));
        stream_close(s);
        FAILS(ERR_IO, fiber_join(r));
        proc_close(p.p);
    }
    return NULL;
}

TEST(tls_verifies) {
    make_certs();
    struct peer p = peer_start("tls", dir);
    struct stream *s;
    const char *ca = slurp("ca.pem");
    const char *good[] = {"good.example", "a.wild.example", "127.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        OK(tls_dial(p.port, (struct tls_client_conf){.ca_pem = ca, .server_name = good[i]}, &s));
        stream_close(s);
    }
    const char *bad[] = {"bad.example", "ignored.example", "127.0.0.2", "a.b.wild.example", "::1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_t e = tls_dial(p.port, (struct tls_client_conf){.ca_pem = ca, .server_name = bad[i]}, &s);
        FAILS(ERR_TLS_VERIFY, e);
        CHECK(strstr(e->message, bad[i]) != NULL && strstr(e->message, "mismatch") != NULL);
    }
    err_t e = tls_dial(p.port, (struct tls_client_conf){.server_name = "good.example"}, &s);
    FAILS(ERR_TLS_VERIFY, e); /* our test CA is not the system's */
    FAILS(ERR_TLS_VERIFY,
          tls_dial(p.port, (struct tls_client_conf){.ca_pem = slurp("cli.pem"), .server_name = "good.example"}, &s));
    OK(tls_dial(p.port, (struct tls_client_conf){.ca_pem = slurp("srv.pem"), .server_name = "good.example"},
                &s)); /* pin */
    stream_close(s);
    FAILS(ERR_INVALID, tls_dial(p.port, (struct tls_client_conf){.ca_pem = "nonsense", .server_name = "x"}, &s));
    FAILS(ERR_INVALID, tls_dial(p.port, (struct tls_client_conf){.ca_pem = ca}, &s));
    FAILS(ERR_INVALID,
          tls_dial(p.port, (struct tls_client_conf){.ca_pem = ca, .server_name = "x", .cert_pem = ca}, &s));
    FAILS(ERR_INVALID,
          tls_dial(p.port,
                   (struct tls_client_conf){
                       .ca_pem = ca, .server_name = "x", .cert_pem = slurp("cli.pem"), .key_pem = slurp("srv.key")},
                   &s));
    proc_close(p.p);
    return NULL;
}

TEST(tls_peers_that_misbehave) {
    make_certs();
    struct stream *s;
    const char *ca = slurp("ca.pem");
    struct tls_client_conf conf = {.ca_pem = ca, .server_name = "good.example"};
    struct peer p = peer_start("tls11", dir);
    FAILS(ERR_TLS_VERIFY, tls_dial(p.port, conf, &s));
    proc_close(p.p);
    p = peer_start("tcp", "-"); /* no TLS at all: never answers, or talks something else */
    struct stream *plain = dial(p.port, "sink\n");
    FAILS(ERR_TIMEOUT, net_tls_client(plain, &conf, loop_now() + 50, &s));
    plain = dial(p.port, "send 3000\n");
    FAILS(ERR_UNAVAILABLE, net_tls_client(plain, &conf, loop_now() + 5000, &s));
    proc_close(p.p);
    p = peer_start("tlsauth", dir);
    OK(tls_dial(
        p.port,
        (struct tls_client_conf){
            .ca_pem = ca, .server_name = "good.example", .cert_pem = slurp("cli.pem"), .key_pem = slurp("cli.key")},
        &s));
    OK(stream_write(s, "echo\n", 5, DEADLINE_NONE));
    echo_roundtrip(s);
    stream_close(s);
    err_t e = tls_dial(p.port, conf, &s); /* TLS 1.3: the refusal comes with the first read */
    if (e == NULL) {
        struct str b;
        FAILS(ERR_TLS_VERIFY, stream_read(s, loop_now() + 5000, &b));
        stream_close(s);
    }
    proc_close(p.p);
    return NULL;
}

/* ---- DNS ---- */

TEST(names) {
    struct dns_addr *a;
    size_t n;
    OK(dns_resolve("127.0.0.1", 80, DEADLINE_NONE, &a, &n));
    CHECK(n == 1 && strcmp(dns_addr_text(arena_current(), a), "127.0.0.1") == 0);
    OK(dns_resolve("::1", 80, DEADLINE_NONE, &a, &n));
    CHECK(n == 1 && strcmp(dns_addr_text(arena_current(), a), "::1") == 0);
    OK(dns_resolve("localhost", 80, DEADLINE_NONE, &a, &n));
    CHECK(n >= 1 && n <= 2);
    err_t e = dns_resolve("no-such-host.invalid", 80, loop_now() + 3000, &a, &n);
    FAILS(ERR_UNAVAILABLE, e);
    CHECK(strstr(e->message, "no-such-host.invalid") != NULL);
    char *long_name = arena_zalloc(arena_current(), 256);
    memset(long_name, 'a', 254);
    FAILS(ERR_INVALID, dns_resolve(long_name, 80, DEADLINE_NONE, &a, &n));
    FAILS(ERR_INVALID, dns_resolve("a b", 80, DEADLINE_NONE, &a, &n));
    FAILS(ERR_INVALID, dns_resolve("", 80, DEADLINE_NONE, &a, &n));
    FAILS(ERR_INVALID, dns_resolve("x", 65536, DEADLINE_NONE, &a, &n));
    return NULL;
}

static int setup_dir(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/df-net-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static err_t remove_dir(void *arg) {
    (void)arg;
    return proc_run(&(struct proc_conf){.argv = ARGV("rm", "-rf", dir)}, DEADLINE_NONE, 4096, NULL);
}

static int teardown_dir(void **state) {
    with_loop(state);
    err_t e = loop_run_fiber("rm", remove_dir, NULL);
    without_loop(state);
    return e != NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOP_TEST(unix_streams), LOOP_TEST(unix_backlog_full_is_waited_for),
        LOOP_TEST(tcp_streams),  LOOP_TEST(cancel_and_close_under_parked_fibers),
        LOOP_TEST(pumps),        LOOP_TEST(tls_moves_bytes),
        LOOP_TEST(tls_verifies), LOOP_TEST(tls_peers_that_misbehave),
        LOOP_TEST(names),
    };
    return cmocka_run_group_tests(tests, setup_dir, teardown_dir);
}
