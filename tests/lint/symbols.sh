#!/bin/sh
# symbols.sh EXECUTABLE: fails when it exports a symbol of BoringSSL or h2o, or lacks what hardening leaves behind.  The process also loads
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
# Hardening that a changed flag could lose without a word.  (An IBT note is not asked for: Debian 12's own start files, Scrt1.o
# and crti.o, carry none, so no program linked there has one, although our code is compiled with -fcf-protection=branch.)
lost() {
    echo "$exe: $1"
    exit 1
}
headers=$(readelf -lWd "$exe")
echo "$headers" | grep -q 'GNU_RELRO' || lost "no RELRO"
echo "$headers" | grep -Eq 'BIND_NOW|FLAGS.*NOW' || lost "no immediate binding"
readelf -hW "$exe" | grep -q 'Type:.*DYN' || lost "not position independent"
stack=$(echo "$headers" | grep 'GNU_STACK') || lost "no word about its stack"
case "$stack" in *RWE*) lost "executable stack" ;; esac
imported=$(nm -D --undefined-only "$exe")
echo "$imported" | grep -q '__stack_chk_fail' || lost "no stack protector"
echo "$imported" | grep -q '__[a-z]*printf_chk' || lost "no _FORTIFY_SOURCE"
echo "$imported" | grep -q '__memcpy_chk' || lost "no _FORTIFY_SOURCE for memory"

# A release answers to no fault point: none of their names is in it.
case "$exe" in
*/release/*)
    text=$(strings "$exe")
    for name in $(grep -rhoE 'FAULT(_ERR)?\("[^"]+"\)' core server handlers | cut -d'"' -f2 | sort -u); do
        if echo "$text" | grep -qxF "$name"; then lost "built with the fault point $name"; fi
    done
    ;;
esac
echo "symbols: $exe exports nothing it should not and is hardened"
