/* Identifiers: UUIDv7 (RFC 9562), random bytes from getrandom(2) (aborts if that fails). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core/base/arena.h"
#include "core/base/str.h"
#define UUID_LEN 36
struct uuid_text {
    char z[UUID_LEN + 1];
};
/** Monotonic within the process, lower case. */
struct uuid_text uuid7(void);
char *uuid7_new(struct arena *a);
bool uuid_valid(struct str s); /* canonical lower or upper case text of any version */
void random_bytes(void *p, size_t n);
/** n characters of [0-9A-Za-z], unbiased. out has n+1. */
void random_base62(char *out, size_t n);
