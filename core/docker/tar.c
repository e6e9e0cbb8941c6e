/* Tar writer: ustar headers, pax records where ustar cannot say it. Own code because the result must be the same bytes on
 * every machine, whatever its locale: build caches depend on it. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/docker/tar.h"

#define BLOCK 512

struct tar_writer {
    struct buf out;
    uint64_t left; /* data bytes the open file still owes */
    unsigned pad;  /* zero bytes after them */
    bool finished, taken;
};
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6], version[2];
    char uname[32], gname[32], major[8], minor[8], prefix[155], unused[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

struct tar_writer *tar_writer_new(size_t max) {
    struct tar_writer *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    buf_init(&w->out, 0, max);
    return w;
}

void tar_writer_free(struct tar_writer *w) {
    if (!w)
        return;
    buf_done(&w->out);
    free(w);
}

static void octal(char *field, size_t width, uint64_t v) {
    for (size_t i = width - 1; i-- > 0; v >>= 3)
        field[i] = (char)('0' + (v & 7));
    field[width - 1] = 0;
}

static void fill_text(char *field, size_t width, const char *text) {
    size_t n = text ? strlen(text) : 0;
    memcpy(field, text ? text : "", n < width ? n : width);
}

static void checksum(struct header *h) {
    memset(h->sum, ' ', sizeof h->sum);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof *h; i++)
        sum += ((const unsigned char *)h)[i];
    octal(h->sum, 7, sum);
    h->sum[7] = ' ';
}

static struct header header_of(const char *name, const char *link, char type, uint32_t mode, uint64_t size,
                               int64_t mtime) {
    struct header h;
    memset(&h, 0, sizeof h);
    fill_text(h.name, sizeof h.name, name);
    fill_text(h.link, sizeof h.link, link);
    octal(h.mode, sizeof h.mode, mode & 07777);
    octal(h.uid, sizeof h.uid, 0);
    octal(h.gid, sizeof h.gid, 0);
    octal(h.size, sizeof h.size, size);
    octal(h.mtime, sizeof h.mtime, mtime > 0 ? (uint64_t)mtime : 0);
    h.type = type;
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    return h;
}

static void pad_block(struct buf *b, uint64_t size) {
    static const char zero[BLOCK];
    buf_put(b, zero, (size_t)((BLOCK - size % BLOCK) % BLOCK));
}

/* "len key=value\n" where len counts itself. */
static void pax_record(struct buf *b, const char *key, const char *value) {
    size_t body = strlen(key) + strlen(value) + 3, len = body + 1;
    for (;;) {
        size_t digits = 0;
        for (size_t v = len; v; v /= 10)
            digits++;
        if (len == body + digits)
            break;
        len = body + digits;
    }
    buf_putf(b, "%zu %s=%s\n", len, key, value);
}

static err_t path_check(const struct tar_entry *e) {
    struct str rest = str_of(e->path), part;
    if (!rest.n || rest.p[0] == '/' || rest.n > 4096)
        return err_new(ERR_PATH_ESCAPE, "the archive path \"%.200s\" is not relative", e->path);
    while (str_cut(&rest, '/', &part))
        if (str_eq(part, STR("..")))
            return err_new(ERR_PATH_ESCAPE, "the archive path \"%.200s\" leaves its root", e->path);
    return NULL;
}

static void put_pax(struct tar_writer *w, const struct tar_entry *e, const char *name) {
    struct buf rec;
    char num[24];
    buf_init(&rec, 0, KIB(32));
    if (strlen(name) > sizeof((struct header *)0)->name)
        pax_record(&rec, "path", name);
    if (e->kind == TAR_SYMLINK && strlen(e->link_target) > sizeof((struct header *)0)->link)
        pax_record(&rec, "linkpath", e->link_target);
    if (e->size > 077777777777) {
        snprintf(num, sizeof num, "%lld", (long long)e->size);
        pax_record(&rec, "size", num);
    }
    if (rec.n) {
        struct header h = header_of("PaxHeaders/entry", NULL, 'x', 0644, rec.n, e->mtime);
        checksum(&h);
        buf_put(&w->out, &h, sizeof h);
        buf_put(&w->out, rec.p, rec.n);
        pad_block(&w->out, rec.n);
    }
    buf_done(&rec);
}

static void begin_write(struct tar_writer *w) {
    if (w->taken)
        buf_clear(&w->out);
    w->taken = false;
}

err_t tar_add(struct tar_writer *w, const struct tar_entry *e) {
    begin_write(w);
    if (w->left)
        return err_new(ERR_INVALID, "the previous archive member is %llu bytes short", (unsigned long long)w->left);
    TRY(path_check(e));
    if (e->kind == TAR_SYMLINK && (!e->link_target || strlen(e->link_target) > 4096))
        return err_new(ERR_INVALID, "the symlink \"%.200s\" has no usable target", e->path);
    if (e->size < 0 || (e->kind != TAR_FILE && e->size))
        return err_new(ERR_INVALID, "the archive member \"%.200s\" cannot have %lld bytes", e->path,
                       (long long)e->size);
    char dir[4100];
    const char *name = e->path;
    if (e->kind == TAR_DIR && !z_ends(name, "/")) {
        snprintf(dir, sizeof dir, "%s/", e->path);
        name = dir;
    }
    put_pax(w, e, name);
    uint32_t mode = e->mode ? e->mode : e->kind == TAR_DIR ? 0755 : e->kind == TAR_SYMLINK ? 0777 : 0644;
    char type = (char)(e->kind == TAR_DIR ? '5' : e->kind == TAR_SYMLINK ? '2' : '0');
    struct header h = header_of(name, e->kind == TAR_SYMLINK ? e->link_target : NULL, type, mode,
                                e->size > 077777777777 ? 0 : (uint64_t)e->size, e->mtime);
    octal(h.uid, sizeof h.uid, e->uid);
    octal(h.gid, sizeof h.gid, e->gid);
    checksum(&h);
    buf_put(&w->out, &h, sizeof h);
    w->left = (uint64_t)e->size;
    w->pad = (unsigned)((BLOCK - w->left % BLOCK) % BLOCK);
    return buf_check(&w->out);
}

err_t tar_data(struct tar_writer *w, struct str bytes) {
    static const char zero[BLOCK];
    begin_write(w);
    if (bytes.n > w->left)
        return err_new(ERR_INVALID, "an archive member got more data than announced");
    w->left -= bytes.n;
    TRY(buf_append(&w->out, bytes.p, bytes.n));
    if (w->left || !w->pad)
        return NULL;
    unsigned pad = w->pad;
    w->pad = 0;
    return buf_append(&w->out, zero, pad);
}

err_t tar_finish(struct tar_writer *w) {
    static const char zero[2 * BLOCK];
    begin_write(w);
    if (w->left)
        return err_new(ERR_INVALID, "the last archive member is %llu bytes short", (unsigned long long)w->left);
    if (w->finished)
        return NULL;
    w->finished = true;
    return buf_append(&w->out, zero, sizeof zero);
}

struct str tar_take(struct tar_writer *w) {
    begin_write(w);
    w->taken = true;
    return buf_str(&w->out);
}

err_t tar_build(struct arena *a, const struct tar_file *files, size_t n, size_t max, struct str *ret) {
    AUTO(tar_writer) w = tar_writer_new(max);
    for (size_t i = 0; i < n; i++) {
        struct tar_entry e = files[i].entry;
        e.size = e.kind == TAR_FILE ? (int64_t)files[i].data.n : 0;
        TRY(tar_add(w, &e));
        if (e.kind == TAR_FILE)
            TRY(tar_data(w, files[i].data));
    }
    TRY(tar_finish(w));
    *ret = str_dup(a, tar_take(w));
    return NULL;
}

/* ---- a list of files as a source, in pieces ---- */

#define PIECE KIB(64)

void tar_list_source_init(struct tar_list_source *s, const struct tar_file *files, size_t n) {
    *s = (struct tar_list_source){.files = files, .n = n, .w = tar_writer_new(KIB(512))};
}

void tar_list_source_done(struct tar_list_source *s) {
    tar_writer_free(s->w);
    s->w = NULL;
}

err_t tar_list_source_next(void *source, uint64_t deadline, struct str *ret) {
    struct tar_list_source *s = source;
    (void)deadline;
    *ret = str_n("", 0);
    if (s->finished)
        return NULL;
    while (s->w->taken || s->w->out.n < PIECE) {
        if (s->next == s->n) {
            TRY(tar_finish(s->w));
            s->finished = true;
            break;
        }
        const struct tar_file *f = &s->files[s->next];
        struct tar_entry e = f->entry;
        e.size = e.kind == TAR_FILE ? (int64_t)f->data.n : 0;
        if (s->sent == 0)
            TRY(tar_add(s->w, &e));
        if (e.size) {
            size_t left = f->data.n - s->sent, n = left < PIECE ? left : PIECE;
            TRY(tar_data(s->w, str_n(f->data.p + s->sent, n)));
            s->sent += n;
        }
        if (s->sent == (size_t)e.size) {
            s->next++;
            s->sent = 0;
        }
    }
    *ret = tar_take(s->w);
    return NULL;
}
