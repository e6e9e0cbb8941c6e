"""The server's own signing key, from its root key and its database: for tokens that are signed as they should be and yet are wrong."""
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MODULUS = (1 << 128) | (1 << 127) | (1 << 126) | (1 << 121) | 1


def _aes(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def _product(a, b):
    """In the field of POLYVAL: a * b * x^-128."""
    for _ in range(128):
        if b & 1:
            b ^= MODULUS
        b >>= 1
    out = 0
    for i in range(128):
        if a >> i & 1:
            out ^= b << i
    for i in range(255, 127, -1):
        if out >> i & 1:
            out ^= MODULUS << (i - 128)
    return out


def _padded(data):
    return data + b"\0" * (-len(data) % 16)


def gcm_siv_open(key, nonce, sealed, aad):
    """AES-256-GCM-SIV (RFC 8452), which neither Debian's Python nor its OpenSSL has."""
    derived = [_aes(key, struct.pack("<I", i) + nonce)[:8] for i in range(6)]
    auth, enc = derived[0] + derived[1], b"".join(derived[2:])
    text, tag = sealed[:-16], sealed[-16:]
    counter, plain = int.from_bytes(tag[:4], "little"), b""
    for i in range(0, len(text), 16):
        block = _aes(enc, (counter & 0xFFFFFFFF).to_bytes(4, "little") + tag[4:15] + bytes([tag[15] | 0x80]))
        plain += bytes(x ^ y for x, y in zip(text[i:i + 16], block))
        counter += 1
    h, s = int.from_bytes(auth, "little"), 0
    data = _padded(aad) + _padded(plain) + struct.pack("<QQ", len(aad) * 8, len(plain) * 8)
    for i in range(0, len(data), 16):
        s = _product(s ^ int.from_bytes(data[i:i + 16], "little"), h)
    mixed = bytearray(x ^ y for x, y in zip(s.to_bytes(16, "little"), nonce + b"\0" * 4))
    mixed[15] &= 0x7F
    assert _aes(enc, bytes(mixed)) == tag, "the root key does not open it"
    return plain


def signing_key(server, db):
    """(key id, private key) of the access tokens of a server that has its root key in a file."""
    (kid, sealed), = db.rows("SELECT kid, private_sealed FROM signing_keys WHERE purpose = 'access' AND state = 'active'")
    root = (server.folder / "data/keys/root.key").read_bytes()
    key = HKDF(hashes.SHA256(), 32, b"dockflow keyring v1", b"seal").derive(root)
    blob = bytes(sealed)
    aad = b"".join(struct.pack(">I", len(part)) + part for part in (b"DFS1", b"1", b"signing_keys", b"private_sealed", str(kid).encode()))
    assert blob[:8] == b"DFS1\0\0\0\1"
    private = gcm_siv_open(key, blob[8:20], blob[20:], aad)
    return str(kid), ed25519.Ed25519PrivateKey.from_private_bytes(private[:32])
