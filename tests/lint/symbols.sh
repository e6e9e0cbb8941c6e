#!/bin/sh
# symbols.sh EXECUTABLE: fails when it exports a symbol of BoringSSL or h2o.  The process also loads
# OpenSSL 3 (libpq) and mbedTLS (libgit2); an exported SSL_* or EVP_* of ours would be bound by them.
set -eu
exe=$1
exported=$(nm -D --defined-only "$exe" | awk '{print $3}' |
    grep -E '^_?(SSL|TLS|EVP|CRYPTO|RSA|EC|ECDSA|ED25519|X509|BIO|BN|ASN1|PEM|HMAC|SHA|AES|RAND|OPENSSL|ERR|OBJ|CBS|CBB|h2o|phr|bssl)_' || true)
if [ -n "$exported" ]; then
    echo "$exe exports $(echo "$exported" | wc -l) symbols of its static TLS library, such as:"
    echo "$exported" | head -n 5
    exit 1
fi
# Hardening that a changed flag could lose without a word.
headers=$(readelf -lWd "$exe")
echo "$headers" | grep -q 'GNU_RELRO' || { echo "$exe: no RELRO"; exit 1; }
echo "$headers" | grep -Eq 'BIND_NOW|FLAGS.*NOW' || { echo "$exe: no immediate binding"; exit 1; }
readelf -hW "$exe" | grep -q 'Type:.*DYN' || { echo "$exe: not position independent"; exit 1; }
if echo "$headers" | grep 'GNU_STACK' | grep -q 'RWE'; then
    echo "$exe: executable stack"
    exit 1
fi
echo "symbols: $exe exports nothing it should not"
