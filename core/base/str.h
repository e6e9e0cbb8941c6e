/* struct str: a borrowed byte range, not NUL-terminated. Comparisons are byte-wise; no locale anywhere. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "core/base/arena.h"
#include "core/base/err.h"

struct str {
    const char *p;
    size_t n;
};
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_ARG(s) (int)(s).n, (s).p /* for "%.*s" */
static inline struct str str_of(const char *z) { return (struct str){z, z ? strlen(z) : 0}; }
static inline struct str str_n(const char *p, size_t n) { return (struct str){p, n}; }
char *str_z(struct arena *a, struct str s); /* NUL-terminated copy */
struct str str_dup(struct arena *a, struct str s);
bool str_eq(struct str a, struct str b);
bool str_eqz(struct str a, const char *z);
bool str_eq_nocase(struct str a, struct str b); /* ASCII */
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool z_eq(const char *a, const char *b); /* both may be NULL */
bool z_starts(const char *s, const char *prefix);
bool z_ends(const char *s, const char *suffix);
ptrdiff_t str_find(struct str s, struct str needle); /* -1 if absent */
ptrdiff_t str_find_chr(struct str s, char c);
struct str str_trim(struct str s);                          /* ASCII space, tab, CR, LF */
struct str str_slice(struct str s, size_t from, size_t to); /* clamped */
/** Cut the next part up to `sep` from *rest; false when nothing is left. "a,,b" gives "a","","b"; "a," gives "a","";
 * "" gives one empty part. After the last part rest->p is NULL. */
bool str_cut(struct str *rest, char sep, struct str *ret_part);
char *str_lower(struct arena *a, struct str s); /* ASCII */
/** Whole string is one decimal integer in [min,max]; ERR_INVALID otherwise. No '+', no spaces; leading zeros are fine. */
MUST_CHECK err_t str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret);
bool str_is_utf8(struct str s);       /* RFC 3629, no surrogates, NUL allowed */
size_t str_utf8_prefix(struct str s); /* bytes of it that are */
bool str_to_hex(const uint8_t *in, size_t n, char *out /* 2n+1 */);
bool str_from_hex(struct str s, uint8_t *out /* n/2 */);
/** RFC 4648; url variant without padding. Results live in `a`. Decoders are strict (padding, trailing bits). */
char *base64_encode(struct arena *a, const void *in, size_t n);
char *base64url_encode(struct arena *a, const void *in, size_t n);
bool base64_decode(struct arena *a, struct str s, struct str *ret);
bool base64url_decode(struct arena *a, struct str s, struct str *ret);
/** application/x-www-form-urlencoded / path percent-decoding; false on a bad escape. */
bool url_decode(struct arena *a, struct str s, bool plus_is_space, struct str *ret);
char *url_encode(struct arena *a, struct str s);        /* RFC 3986 unreserved kept */
uint64_t hash_bytes(const void *p, size_t n);           /* seeded per process: not stable across runs */
bool mem_eq_ct(const void *a, const void *b, size_t n); /* constant time */
void mem_wipe(void *p, size_t n);                       /* not optimised away */
/** Glob: * and ? stay within a path segment, ** crosses '/', and ** with a slash after it also matches no directory;
 * [a-z] [!a-z]; a backslash takes the next character as it is. Linear in bytes x pattern length; a pattern of more than
 * 512 tokens matches nothing. */
bool glob_match(struct str pattern, struct str s);
