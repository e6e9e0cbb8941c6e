"""Just enough of an HTTP/2 client to misbehave with: for the tests of the transport and of the process."""
import hpack
from hyperframe import frame as F

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Connection:
    """One HTTP/2 connection over a connected socket."""

    def __init__(self, sock, settings=None):
        self.s = sock
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer = b""
        self.next_id = 1
        self.s.sendall(PREFACE + F.SettingsFrame(0, settings=settings or {}).serialize())

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *frames):
        self.s.sendall(b"".join(f if isinstance(f, bytes) else f.serialize() for f in frames))

    def headers(self, path="/api/v1/echo", method="GET", extra=(), end=True, stream=None, authority="t"):
        fields = [(":method", method), (":scheme", "http"), (":path", path)]
        if authority is not None:
            fields.append((":authority", authority))
        stream = stream or self.next_id
        self.next_id = stream + 2
        f = F.HeadersFrame(stream, self.encoder.encode(fields + list(extra)))
        f.flags.add("END_HEADERS")
        if end:
            f.flags.add("END_STREAM")
        return f

    def frame(self):
        """The next frame, None at the end."""
        while True:
            if len(self.buffer) >= 9:
                f, n = F.Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + n:
                    body, self.buffer = self.buffer[9:9 + n], self.buffer[9 + n:]
                    f.parse_body(memoryview(body))
                    return f
            try:
                data = self.s.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                return None
            if not data:
                return None
            self.buffer += data

    def answer(self, stream):
        """(status, headers, body) or ("reset", code) or ("goaway", code) or None."""
        headers, body = None, b""
        while (f := self.frame()) is not None:
            if isinstance(f, F.GoAwayFrame) and f.error_code:
                return "goaway", f.error_code
            if f.stream_id != stream:
                continue
            if isinstance(f, F.RstStreamFrame):
                return "reset", f.error_code
            if isinstance(f, F.HeadersFrame):
                headers = dict(self.decoder.decode(f.data))
            if isinstance(f, F.DataFrame):
                body += f.data
                if f.flow_controlled_length:
                    self.send(F.WindowUpdateFrame(0, window_increment=f.flow_controlled_length))
            if "END_STREAM" in f.flags:
                return int(headers[":status"]), headers, body
        return None

    def ask(self, *args, **kw):
        f = self.headers(*args, **kw)
        self.send(f)
        return self.answer(f.stream_id)

    def end(self):
        """Read to the end; the last GOAWAY's code, None if the connection just closed."""
        code = None
        while (f := self.frame()) is not None:
            if isinstance(f, F.GoAwayFrame):
                code = f.error_code
        return code
