#include "core/audit/audit.h"
#include <stdlib.h>
#include <string.h>
#include "core/async/fiber.h"
#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/sha256.h"

#define PLATFORM_CHAIN "00000000-0000-7000-8000-000000000000"
enum { DOCUMENT_MAX = 65536, HASH = 32, HASH_HEX = 64, PAGE = 500 };

static struct audit_mac_ops mac_ops;

void audit_set_mac(const struct audit_mac_ops *ops) {
    mac_ops = ops != NULL ? *ops : (struct audit_mac_ops){.mac = NULL};
}

/* Columns of audit_page from the fifth on, and their names in the hashed document. */
enum field {
    F_ID,
    F_ORG,
    F_SCOPE,
    F_USER,
    F_ACTOR_KIND,
    F_ACTOR_NAME,
    F_SESSION,
    F_TOKEN,
    F_ACTION,
    F_RESOURCE_TYPE,
    F_RESOURCE_ID,
    F_RESOURCE_NAME,
    F_OUTCOME,
    F_ERROR_CODE,
    F_DETAILS,
    F_BEFORE,
    F_AFTER,
    F_IP,
    F_USER_AGENT,
    F_REQUEST_ID,
    F_COUNT
};
static const char *const names[F_COUNT] = {"id",         "orgId",        "scopeId",   "userId",    "actorKind",
                                           "actorName",  "sessionId",    "tokenId",   "action",    "resourceType",
                                           "resourceId", "resourceName", "outcome",   "errorCode", "details",
                                           "before",     "after",        "ipAddress", "userAgent", "requestId"};

/** An entry in exactly the form in which the database gives it back. */
struct row {
    const char *f[F_COUNT];
    int64_t seq, time_us;
    uint8_t prev[HASH];
};

static void put_be64(struct sha256 *s, int64_t v) {
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    sha256_update(s, b, sizeof(b));
}

/** SHA-256(prev, seq, chain, time, canonical JSON). Documents take part as JSON values, so that their spelling in the
 * database does not matter. */
static err_t row_hash(struct arena *a, const char *chain, const struct row *row, uint8_t out[HASH]) {
    static const struct json_limits wide = {.max_bytes = MIB(1), .max_depth = 64, .max_nodes = 200000, .trusted = true};
    struct json *doc = json_object(a);
    for (int i = 0; i < F_COUNT; i++) {
        if (row->f[i] == NULL)
            continue;
        struct json *v = json_string(a, row->f[i]);
        if (i == F_DETAILS || i == F_BEFORE || i == F_AFTER)
            TRY(json_parse(a, str_of(row->f[i]), &wide, &v));
        json_set(a, doc, names[i], v);
    }
    const char *text = json_to_canonical(a, doc);
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, row->prev, HASH);
    put_be64(&s, row->seq);
    sha256_update(&s, chain, strlen(chain));
    put_be64(&s, row->time_us);
    sha256_update(&s, text, strlen(text));
    sha256_final(&s, out);
    return NULL;
}

/* ---- writing ---- */

/** varchar(n) counts characters; a cut at a byte below never exceeds it. NULL stays NULL. */
static const char *cut(struct arena *a, const char *z, size_t max) {
    if (z == NULL || strlen(z) <= max)
        return z;
    size_t n = max;
    while (n > 0 && ((unsigned char)z[n] & 0xC0) == 0x80)
        n--;
    return arena_strndup(a, z, n);
}

static const char *document(struct arena *a, const char *json) {
    if (json == NULL || strlen(json) <= DOCUMENT_MAX)
        return json;
    size_t n = strlen(json);
    return arena_printf(a, "{\"omitted\":{\"bytes\":%zu,\"sha256\":\"%s\"}}", n, sha256_hex(a, json, n));
}

static void fill(struct arena *a, const struct audit_entry *e, const char *id, struct row *row) {
    const char **f = row->f;
    f[F_ID] = id;
    f[F_ACTOR_KIND] = e->actor_kind != NULL ? e->actor_kind : "user";
    f[F_ACTOR_NAME] = e->actor_name != NULL ? cut(a, e->actor_name, 255) : "";
    f[F_SESSION] = e->session_id;
    f[F_TOKEN] = e->token_id;
    f[F_ACTION] = cut(a, e->action, 100);
    f[F_RESOURCE_TYPE] = cut(a, e->resource_type, 50);
    f[F_RESOURCE_ID] = cut(a, e->resource_id, 255);
    f[F_RESOURCE_NAME] = cut(a, e->resource_name, 255);
    f[F_OUTCOME] = e->outcome != NULL ? e->outcome : "success";
    f[F_ERROR_CODE] = cut(a, e->error_code, 63);
    f[F_USER_AGENT] = cut(a, e->user_agent, 512);
    f[F_REQUEST_ID] = cut(a, e->request_id, 63);
}

/** Lock the chain, take seq, previous hash, time, and the values as the database will show them. */
static err_t next(struct pg *tx, struct arena *a, const char *chain, const struct audit_entry *e, struct row *row) {
    struct pg_result *r;
    TRY(pg_rows(tx, a, SQL_AUDIT_NEXT,
                PG_ARGS(pg_uuid(chain), pg_uuid(e->org_id), pg_uuid(e->scope_id), pg_uuid(e->user_id),
                        pg_uuid(e->session_id), pg_json(document(a, e->details)), pg_json(document(a, e->before)),
                        pg_json(document(a, e->after)), pg_text(e->ip_address)),
                &r));
    CHECK(r->rows == 1 && str_from_hex(r->cells[1], row->prev));
    row->seq = pg_cell_int(r, 0, 0, 0);
    row->time_us = pg_cell_int(r, 0, 2, 0);
    row->f[F_ORG] = pg_cell(r, 0, 3);
    row->f[F_SCOPE] = pg_cell(r, 0, 4);
    row->f[F_USER] = pg_cell(r, 0, 5);
    row->f[F_SESSION] = pg_cell(r, 0, 6);
    row->f[F_DETAILS] = pg_cell(r, 0, 7);
    row->f[F_BEFORE] = pg_cell(r, 0, 8);
    row->f[F_AFTER] = pg_cell(r, 0, 9);
    row->f[F_IP] = pg_cell(r, 0, 10);
    return NULL;
}

static const char *hex(struct arena *a, const uint8_t *p, size_t n) {
    char *z = arena_alloc(a, 2 * n + 1, 1);
    str_to_hex(p, n, z);
    return z;
}

static err_t insert(struct pg *tx, struct arena *a, const char *chain, const struct row *row) {
    uint8_t hash[HASH], mac[HASH];
    char key_id[65] = "";
    TRY(row_hash(a, chain, row, hash));
    bool sealed = mac_ops.mac != NULL && mac_ops.mac(mac_ops.arg, hash, mac, key_id);
    const char *const *f = row->f;
    return pg_exec(tx, SQL_AUDIT_INSERT,
                   PG_ARGS(pg_uuid(f[F_ID]), pg_uuid(chain), pg_int(row->seq), pg_uuid(f[F_ORG]), pg_uuid(f[F_SCOPE]),
                           pg_uuid(f[F_USER]), pg_text(f[F_ACTOR_KIND]), pg_text(f[F_ACTOR_NAME]),
                           pg_uuid(f[F_SESSION]), pg_uuid(f[F_TOKEN]), pg_text(f[F_ACTION]),
                           pg_text(f[F_RESOURCE_TYPE]), pg_text(f[F_RESOURCE_ID]), pg_text(f[F_RESOURCE_NAME]),
                           pg_text(f[F_OUTCOME]), pg_text(f[F_ERROR_CODE]), pg_json(f[F_DETAILS]), pg_json(f[F_BEFORE]),
                           pg_json(f[F_AFTER]), pg_text(f[F_IP]), pg_text(f[F_USER_AGENT]), pg_text(f[F_REQUEST_ID]),
                           pg_int(row->time_us), pg_text(hex(a, row->prev, HASH)),
                           sealed ? pg_text(hex(a, mac, HASH)) : PG_NULL, pg_text(hex(a, hash, HASH)),
                           sealed ? pg_text(key_id) : PG_NULL),
                   NULL);
}

err_t audit_write(struct pg *tx, const struct audit_entry *e, struct uuid_text *ret_id) {
    struct arena *a = arena_current();
    struct uuid_text id = uuid7();
    struct row row = {.seq = 0};
    const char *chain = e->org_id != NULL ? str_lower(a, str_of(e->org_id)) : PLATFORM_CHAIN;
    CHECK(e->action != NULL);
    fill(a, e, id.z, &row);
    if (row.f[F_TOKEN] != NULL)
        row.f[F_TOKEN] = str_lower(a, str_of(row.f[F_TOKEN]));
    TRY(next(tx, a, chain, e, &row));
    TRY(insert(tx, a, chain, &row));
    if (ret_id != NULL)
        *ret_id = id;
    return NULL;
}

static err_t alone(struct pg *tx, void *arg) { return audit_write(tx, arg, NULL); }

err_t audit_write_alone(struct pg *db, const struct audit_entry *e) {
    struct audit_entry copy = *e;
    return pg_tx(db, alone, &copy);
}

/* ---- verifying ---- */

struct walk {
    const char *chain;
    int64_t expect;
    uint8_t prev[HASH];
    struct audit_report *rep;
};

static bool bad(struct walk *w, int64_t seq, const char *reason) {
    w->rep->first_bad = seq;
    w->rep->reason = reason;
    return false;
}

static bool mac_ok(struct walk *w, const struct pg_result *r, size_t i, const uint8_t hash[HASH]) {
    struct str text = r->cells[i * r->cols + 24];
    uint8_t mac[HASH];
    if (text.p == NULL) {
        w->rep->unsigned_rows++;
        return true;
    }
    if (mac_ops.check == NULL)
        return true;
    return text.n == HASH_HEX && str_from_hex(text, mac) && pg_cell(r, i, 25) != NULL &&
           mac_ops.check(mac_ops.arg, pg_cell(r, i, 25), hash, mac);
}

/** False: the chain is broken here. */
static bool check_row(struct walk *w, struct arena *a, const struct pg_result *r, size_t i) {
    struct row row = {.seq = pg_cell_int(r, i, 0, 0), .time_us = pg_cell_int(r, i, 3, 0)};
    uint8_t stored[HASH], hash[HASH];
    struct str prev = r->cells[i * r->cols + 1], text = r->cells[i * r->cols + 2];
    if (row.seq != w->expect)
        return bad(w, w->expect, "an entry is missing");
    if (prev.n != HASH_HEX || !str_from_hex(prev, row.prev) || memcmp(row.prev, w->prev, HASH) != 0)
        return bad(w, row.seq, "the link to the entry before is wrong");
    for (size_t c = 0; c < F_COUNT; c++)
        row.f[c] = pg_cell(r, i, c + 4);
    if (text.n != HASH_HEX || !str_from_hex(text, stored) || row_hash(a, w->chain, &row, hash) != NULL ||
        memcmp(hash, stored, HASH) != 0)
        return bad(w, row.seq, "the entry was changed");
    if (!mac_ok(w, r, i, hash))
        return bad(w, row.seq, "the entry's seal is wrong");
    memcpy(w->prev, hash, HASH);
    w->expect++;
    w->rep->checked++;
    return true;
}

/** Rows until there are no more or one is bad. */
static err_t walk_rows(struct pg *db, struct arena *a, struct walk *w) {
    size_t rows = PAGE;
    while (rows == PAGE && w->rep->first_bad == 0) {
        struct arena_mark m = arena_mark(a);
        struct pg_result *r;
        TRY(pg_rows(db, a, SQL_AUDIT_PAGE, PG_ARGS(pg_uuid(w->chain), pg_int(w->expect - 1), pg_int(PAGE)), &r));
        rows = r->rows;
        for (size_t i = 0; i < rows && w->rep->first_bad == 0; i++)
            check_row(w, a, r, i);
        arena_rewind(a, m);
        TRY(fiber_yield());
    }
    return NULL;
}

/** *ret_more: the head is ahead of what was walked; appended meanwhile, or cut off. */
static err_t check_head(struct pg *db, struct arena *a, struct walk *w, bool *ret_more) {
    struct pg_result *r;
    uint8_t head[HASH];
    int64_t last = w->expect - 1;
    TRY(pg_rows(db, a, SQL_AUDIT_HEAD, PG_ARGS(pg_uuid(w->chain)), &r));
    int64_t seq = r->rows > 0 ? pg_cell_int(r, 0, 0, 0) : 0;
    *ret_more = seq > last;
    if (seq < last)
        bad(w, seq + 1, "the head is behind the last entry");
    else if (seq == last && seq > 0 &&
             (r->cells[1].n != HASH_HEX || !str_from_hex(r->cells[1], head) || memcmp(head, w->prev, HASH) != 0))
        bad(w, seq, "the head does not belong to the last entry");
    return NULL;
}

err_t audit_verify(struct pg *db, const char *org_id, struct audit_report *ret) {
    struct arena *a = arena_current();
    struct audit_report rep = {.checked = 0};
    struct walk w = {.chain = org_id != NULL ? str_lower(a, str_of(org_id)) : PLATFORM_CHAIN, .expect = 1, .rep = &rep};
    bool more = true;
    while (more && rep.first_bad == 0) {
        int64_t before = w.expect;
        TRY(walk_rows(db, a, &w));
        if (rep.first_bad != 0)
            break;
        if (w.expect == before && rep.reason != NULL) {
            bad(&w, w.expect, "the end of the chain was cut off");
            break;
        }
        TRY(check_head(db, a, &w, &more));
        if (more)
            rep.reason = "looking again"; /* the second look finds what was appended, or nothing */
    }
    if (rep.first_bad == 0)
        rep.reason = NULL;
    *ret = rep;
    return NULL;
}
