/* Many WebSocket viewers from one process: opens N, tells when all are open, counts what arrives, stops after a time.
 *
 *   df-bench-ws PORT PATH COUNT SECONDS TOKENS_FILE [LINES]
 *
 * The server limits connections per address, so the viewers come from 127.0.0.2, 127.0.0.3, ... with PER_ADDRESS each; tokens
 * (one per line) are taken in turn. Ends early when every viewer has LINES lines. Prints "open N" when all handshakes are done, at the end one JSON line: bytes and log
 * lines received, over all and by the slowest viewer, the seconds between the first and the last byte, and when the last came
 * (CLOCK_MONOTONIC). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PER_ADDRESS = 50, MAX_TOKENS = 64, CHUNK = 1 << 18, HEAD_MAX = 4096 };

struct viewer {
    int fd;
    unsigned match; /* progress of the line pattern across reads */
    unsigned long long bytes, lines;
};
static const char pattern[] = "\"l\":\""; /* begins the text of each line */

static void die(const char *what) {
    fprintf(stderr, "ws: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_from(unsigned index, int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / PER_ADDRESS);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    return fd;
}

static void handshake(struct viewer *v, unsigned index, int port, const char *path, const char *token) {
    static char head[HEAD_MAX];
    v->fd = open_from(index, port);
    int n = snprintf(
        head, sizeof(head),
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n",
        path, port, token);
    if (n >= HEAD_MAX || write(v->fd, head, (size_t)n) != n)
        die("handshake");
    char got[HEAD_MAX];
    size_t have = 0;
    while (have < sizeof(got) - 1) { /* byte by byte: what follows the head is counted */
        if (read(v->fd, got + have, 1) != 1)
            die("handshake answer");
        got[++have] = '\0';
        if (have >= 4 && memcmp(got + have - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    if (strncmp(got, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "ws: viewer %u: %.200s\n", index, got);
        exit(1);
    }
    fcntl(v->fd, F_SETFL, O_NONBLOCK);
}

static void count_lines(struct viewer *v, const char *p, size_t n) {
    const char *end = p + n;
    while (v->match && p < end) { /* a pattern cut by the end of the read before */
        if (*p != pattern[v->match]) {
            v->match = 0;
            break;
        }
        p++;
        if (++v->match == sizeof(pattern) - 1) {
            v->lines++;
            v->match = 0;
        }
    }
    while ((p = memmem(p, (size_t)(end - p), pattern, sizeof(pattern) - 1)) != NULL) {
        v->lines++;
        p += sizeof(pattern) - 1;
    }
    for (unsigned k = sizeof(pattern) - 2; k > 0; k--)
        if (n >= k && memcmp(end - k, pattern, k) == 0) {
            v->match = k;
            break;
        }
}

/* The server closes a peer that never says anything; what arrives alone and is a ping gets its pong. */
static void pong(struct viewer *v) {
    static const unsigned char frame[6] = {0x8a, 0x80, 0, 0, 0, 0};
    (void)!write(v->fd, frame, sizeof(frame));
}

static int read_tokens(const char *file, char **ret) {
    FILE *f = fopen(file, "r");
    char line[HEAD_MAX];
    int n = 0;
    if (f == NULL)
        die(file);
    while (n < MAX_TOKENS && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\r\n")] = '\0';
        ret[n++] = strdup(line);
    }
    fclose(f);
    if (n == 0)
        die("no tokens");
    return n;
}

static bool take(struct viewer *v, char *chunk, double *first, double *last) {
    ssize_t n = read(v->fd, chunk, CHUNK);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return false;
    if (n <= 0)
        return true;
    if (n <= 6 && ((unsigned char)chunk[0] & 0x0f) == 9) {
        pong(v);
        return true;
    }
    *last = now();
    if (*first == 0)
        *first = *last;
    v->bytes += (size_t)n;
    count_lines(v, chunk, (size_t)n);
    return true;
}

static bool all_have(const struct viewer *v, unsigned n, unsigned long long lines) {
    for (unsigned i = 0; i < n; i++)
        if (v[i].lines < lines)
            return false;
    return lines > 0;
}

static void report(const struct viewer *v, unsigned n, unsigned closed, double seconds, double last) {
    unsigned long long bytes = 0, lines = 0, slow = n ? v[0].lines : 0;
    for (unsigned i = 0; i < n; i++) {
        bytes += v[i].bytes;
        lines += v[i].lines;
        slow = v[i].lines < slow ? v[i].lines : slow;
    }
    printf(
        "{\"viewers\":%u,\"closed\":%u,\"bytes\":%llu,\"lines\":%llu,\"slowest\":%llu,\"seconds\":%.3f,\"last\":%.3f}\n",
        n, closed, bytes, lines, slow, seconds, last);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static char *tokens[MAX_TOKENS];
    static struct epoll_event evs[256];
    if (argc != 6 && argc != 7)
        die("usage: df-bench-ws PORT PATH COUNT SECONDS TOKENS_FILE [LINES]");
    int port = (int)strtol(argv[1], NULL, 10), ntokens = read_tokens(argv[5], tokens), ep = epoll_create1(0);
    unsigned n = (unsigned)strtoul(argv[3], NULL, 10), closed = 0;
    struct viewer *v = calloc(n, sizeof(*v));
    for (unsigned i = 0; i < n; i++) {
        handshake(&v[i], i, port, argv[2], tokens[i % (unsigned)ntokens]);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &v[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, v[i].fd, &ev);
    }
    printf("open %u\n", n);
    fflush(stdout);
    double until = now() + strtod(argv[4], NULL), first = 0, last = 0;
    unsigned long long lines = argc == 7 ? strtoull(argv[6], NULL, 10) : 0;
    char *chunk = malloc(CHUNK);
    while (now() < until && !all_have(v, n, lines)) {
        int got = epoll_wait(ep, evs, 256, 100);
        for (int i = 0; i < got; i++) {
            struct viewer *one = evs[i].data.ptr;
            if (take(one, chunk, &first, &last))
                continue;
            closed++;
            close(one->fd);
        }
    }
    report(v, n, closed, last - first, last);
    return 0;
}
