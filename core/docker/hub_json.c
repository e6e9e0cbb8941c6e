/* Log lines as JSON, encoded once per batch. */
#include "core/docker/hub_internal.h"

void hub_item_json(struct buf *out, const struct hub_item *it) {
    char t[TIME_RFC3339_LEN];
    buf_putf(out, "{\"s\":%u,\"t\":\"%s\",\"q\":%llu,\"l\":", it->stream, time_rfc3339(t, it->ts_ns / 1000000),
             (unsigned long long)it->seq);
    json_write_str(out, it->text);
    buf_puts(out, it->cut ? ",\"cut\":true}" : "}");
}

struct str hub_batch_json(const struct hub_batch *b) {
    if (!*b->json_ready) {
        buf_clear(b->json_cache);
        for (size_t i = 0; i < b->n; i++) {
            if (i)
                buf_putc(b->json_cache, ',');
            hub_item_json(b->json_cache, &b->items[i]);
        }
        *b->json_ready = true;
    }
    return buf_str(b->json_cache);
}
