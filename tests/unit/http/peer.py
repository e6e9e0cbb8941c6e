"""The other end of tests/unit/http/test_client.c: an HTTP server on raw sockets that behaves and misbehaves by path.
Prints its port, serves until its standard input ends."""
import socket
import struct
import sys
import threading
import time

count = [0]
lock = threading.Lock()


def read_head(c, buf):
    while b'\r\n\r\n' not in buf:
        x = c.recv(65536)
        if not x:
            return None, b''
        buf += x
    head, _, rest = buf.partition(b'\r\n\r\n')
    return head.decode('latin1'), rest


def read_body(c, head, rest):
    low = head.lower()
    if 'transfer-encoding: chunked' in low:
        body = b''
        while True:
            while b'\r\n' not in rest:
                rest += c.recv(65536)
            size, _, rest = rest.partition(b'\r\n')
            n = int(size, 16)
            while len(rest) < n + 2:
                rest += c.recv(65536)
            body += rest[:n]
            assert rest[n:n + 2] == b'\r\n'
            rest = rest[n + 2:]
            if n == 0:
                return body, rest
    n = 0
    for line in low.split('\r\n'):
        if line.startswith('content-length:'):
            n = int(line.split(':')[1])
    while len(rest) < n:
        x = c.recv(65536)
        if not x:
            break
        rest += x
    return rest[:n], rest[n:]


def reset(c):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    c.close()


def ok(body, extra=''):
    return ('HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n' % (extra, len(body))).encode() + body


def raw_echo(c, rest):
    if rest:
        c.sendall(rest.upper())
    while True:
        x = c.recv(65536)
        if not x:
            break
        c.sendall(x.upper())
    c.sendall(b'bye')


BAD = {
    '/bad/clte': b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    '/bad/204': b'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged',
    '/bad/cut': b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort',
    '/bad/head': b'HTTP/1.1 200 OK\r\nContent-Le',
    '/bad/flood': b'HTTP/1.1 100 Continue\r\n\r\n' * 100000,
    '/bad/101': b'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n',
    '/bad/text': b'SSH-2.0-OpenSSH_9.2\r\n',
}


def handle(c, nconn, line, head, body, rest):
    """True to keep the connection."""
    method, path, _ = line.split(' ')
    if path == '/hello':
        c.sendall(ok(b'' if method == 'HEAD' else b'hello', 'X-Conn: %d\r\n' % nconn))
    elif path == '/echo':
        c.sendall(ok(head.encode('latin1') + b'\r\n\r\n' + body))
    elif path.startswith('/big/'):
        c.sendall(ok(b'x' * int(path[5:])))
    elif path == '/chunked':
        c.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n')
    elif path == '/split':
        for b in b'HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n0\r\n\r\n':
            c.sendall(bytes([b]))
            time.sleep(0.0005)
    elif path == '/eof':
        c.sendall(b'HTTP/1.1 200 OK\r\n\r\nuntil the end')
        return False
    elif path == '/close':
        c.sendall(ok(b'bye', 'Connection: close\r\n'))
        return False
    elif path == '/204':
        c.sendall(b'HTTP/1.1 204 No Content\r\nX-Conn: %d\r\n\r\n' % nconn)
    elif path == '/late-204-body':
        c.sendall(b'HTTP/1.1 204 No Content\r\n\r\n')
        time.sleep(0.05)
        c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged')
    elif path == '/slow':
        c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart')
        time.sleep(300)
    elif path == '/silent':
        time.sleep(300)
    elif path == '/none':
        return False
    elif path == '/reset':
        reset(c)
        return None
    elif path == '/trap':  # answers, then dies on whatever comes next
        c.sendall(ok(b'ok', 'X-Conn: %d\r\n' % nconn))
        c.recv(1)
        reset(c)
        return None
    elif path == '/idle-close':
        c.sendall(ok(b'ok'))
        time.sleep(0.02)
        return False
    elif path == '/upgrade':
        c.sendall(b'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst ')
        raw_echo(c, rest)
        return False
    elif path == '/hijack':
        c.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nfirst ')
        raw_echo(c, rest)
        return False
    elif path == '/endless':
        c.sendall(b'HTTP/1.1 200 OK\r\nX: ')
        while True:
            c.sendall(b'y' * 65536)
    elif path == '/endless-body':
        c.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
        while True:
            c.sendall(b'1000\r\n' + b'z' * 4096 + b'\r\n')
    elif path in BAD:
        c.sendall(BAD[path])
        return False
    else:
        c.sendall(b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    return True


def serve(c, nconn):
    rest = b''
    try:
        while True:
            head, rest = read_head(c, rest)
            if head is None:
                break
            line = head.split('\r\n')[0]
            if ' /early ' in line:
                c.sendall(b'HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!')
                c.shutdown(socket.SHUT_WR)
                time.sleep(0.2)
                break
            body, rest = read_body(c, head, rest) if 'upgrade' not in head.lower() else (b'', rest)
            keep = handle(c, nconn, line, head, body, rest)
            if keep is None:
                return
            if not keep:
                break
        c.close()
    except OSError:
        c.close()


def accept_all(listener):
    while True:
        c, _ = listener.accept()
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with lock:
            count[0] += 1
            n = count[0]
        threading.Thread(target=serve, args=(c, n), daemon=True).start()


listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(64)
print(listener.getsockname()[1], flush=True)
threading.Thread(target=accept_all, args=(listener,), daemon=True).start()
sys.stdin.read()
