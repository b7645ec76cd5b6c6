#include "fit/store.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "journal/frames.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct wh_store {
    wh_frames    *frames;
    const char   *path;
    wh_store_head head;
    wh_buf        pending; /* records that are not written yet */
    double        since;   /* when the first of them came */
};

enum { VERSION = 1, LEVEL = 1, FULL = 1 << 22 };
static const char noun[] = "file of features";
static const double patience = 10; /* seconds that a kill may cost */

/* A record before its values, little-endian as everywhere that Whet runs. */
typedef struct record {
    char     key[WH_STORE_KEY];
    uint32_t rows, width;
} record;

/* ---- the first line --------------------------------------------------------------------------------------------- */

static json_t *head_json(const wh_store_head *h)
{
    json_t *layers = json_array();
    for (size_t i = 0; i < h->n_layers; i++) json_array_append_new(layers, json_integer(h->layers[i]));
    return json_pack("{s:s, s:i, s:s, s:o, s:I}", "features", "whet", "version", VERSION, "trunk_sha256", h->trunk_sha256, "layers", layers,
                     "d", (json_int_t)h->d);
}

static wh_code read_head(wh_store_head *h, const char *path, const char *text, size_t n, wh_err *err)
{
    json_t *o = json_loadb(text, n, 0, NULL);
    const char *what = json_string_value(json_object_get(o, "features")), *trunk = json_string_value(json_object_get(o, "trunk_sha256"));
    const json_t *layers = json_object_get(o, "layers");
    json_int_t d = json_integer_value(json_object_get(o, "d"));
    size_t count = json_array_size(layers);
    wh_code code = WH_OK;
    if (!what || strcmp(what, "whet") != 0 || json_integer_value(json_object_get(o, "version")) != VERSION || !trunk ||
        strlen(trunk) != 64 || count == 0 || count > WH_STORE_LAYERS || d <= 0) {
        code = wh_err_set(err, WH_ERR_FORMAT, "%s is no %s of Whet", path, noun);
    } else {
        *h = (wh_store_head){.n_layers = count, .d = (size_t)d};
        memcpy(h->trunk_sha256, trunk, 65);
        for (size_t i = 0; i < count; i++) h->layers[i] = (uint32_t)json_integer_value(json_array_get(layers, i));
    }
    json_decref(o);
    return code;
}

typedef struct reader {
    wh_store      *store;
    bool           begun; /* the first line was read */
    wh_store_each *each;  /* NULL: only the first line is wanted */
    void          *user;
} reader;

static wh_code read_records(reader *r, const char *data, size_t n, size_t at, wh_err *err)
{
    const wh_store_head *h = &r->store->head;
    while (n) {
        record one = {.rows = 0};
        size_t bytes;
        if (n >= sizeof one) memcpy(&one, data, sizeof one);
        if (n < sizeof one || one.width != h->n_layers * h->d || !wh_mem_mul(&bytes, (size_t)one.rows, one.width * sizeof(uint16_t)) ||
            bytes > n - sizeof one)
            return wh_err_set(err, WH_ERR_FORMAT, "%s: the frame at byte %zu is broken", r->store->path, at);
        /* The frame's memory has no alignment to speak of. */
        uint16_t *values = wh_mem_alloc(bytes, 1);
        if (!values) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu states", (size_t)one.rows);
        memcpy(values, data + sizeof one, bytes);
        wh_code code = r->each(r->user, one.key, values, one.rows, err);
        free(values);
        WH_TRY(code);
        data += sizeof one + bytes;
        n -= sizeof one + bytes;
    }
    return WH_OK;
}

static wh_code on_frame(void *user, const char *data, size_t n, size_t at, wh_err *err)
{
    reader *r = user;
    if (!r->begun) {
        r->begun = true;
        return read_head(&r->store->head, r->store->path, data, n, err);
    }
    return r->each ? read_records(r, data, n, at, err) : WH_OK;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static bool has_layer(const wh_store_head *h, uint32_t layer)
{
    for (size_t i = 0; i < h->n_layers; i++)
        if (h->layers[i] == layer) return true;
    return false;
}

static wh_code check_head(const wh_store *s, const wh_store_head *wanted, wh_err *err)
{
    if (memcmp(s->head.trunk_sha256, wanted->trunk_sha256, 64) != 0)
        return wh_err_set(err, WH_ERR_ARG, "%s holds the features of another model (sha256 %.12s..., not %.12s...); name another file",
                          s->path, s->head.trunk_sha256, wanted->trunk_sha256);
    for (size_t i = 0; i < wanted->n_layers; i++)
        if (!has_layer(&s->head, wanted->layers[i]))
            return wh_err_set(err, WH_ERR_ARG, "%s does not hold layer %u; name another file, or layers that it has", s->path,
                              wanted->layers[i]);
    return WH_OK;
}

static wh_code begin(wh_store *s, const wh_store_head *head, wh_err *err)
{
    s->head = *head;
    json_t *o = head_json(head);
    char *line = json_dumps(o, JSON_COMPACT);
    wh_buf text = {0};
    if (line) wh_buf_printf(&text, "%s\n", line);
    wh_code code = line && wh_buf_ok(&text) ? wh_frames_append(s->frames, text.data, text.len, err)
                                            : wh_err_set(err, WH_ERR_NOMEM, "no memory for the %s %s", noun, s->path);
    wh_buf_free(&text);
    free(line);
    json_decref(o);
    return code;
}

wh_code wh_store_open(wh_store **out, const char *path, wh_store_head *head, wh_err *err)
{
    *out = NULL;
    wh_store *s = wh_mem_zalloc(1, sizeof *s);
    if (!s) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the %s %s", noun, path);
    s->path = path;
    reader r = {.store = s};
    wh_code code = wh_frames_open(&s->frames, path, noun, LEVEL, err);
    if (code == WH_OK) code = wh_frames_scan(s->frames, on_frame, &r, NULL, err);
    if (code == WH_OK) code = r.begun ? check_head(s, head, err) : begin(s, head, err);
    if (code != WH_OK) {
        (void)wh_store_close(s, NULL);
        return code;
    }
    *head = s->head;
    *out = s;
    return WH_OK;
}

wh_code wh_store_read(wh_store *s, wh_store_each *each, void *user, wh_err *err)
{
    reader r = {.store = s, .each = each, .user = user};
    return wh_frames_scan(s->frames, on_frame, &r, NULL, err);
}

static wh_code flush(wh_store *s, wh_err *err)
{
    if (!s->pending.len) return WH_OK;
    WH_TRY(wh_frames_append(s->frames, s->pending.data, s->pending.len, err));
    wh_buf_clear(&s->pending);
    return WH_OK;
}

wh_code wh_store_put(wh_store *s, const char key[WH_STORE_KEY], const uint16_t *values, size_t rows, wh_err *err)
{
    record one = {.rows = (uint32_t)rows, .width = (uint32_t)(s->head.n_layers * s->head.d)};
    memcpy(one.key, key, sizeof one.key);
    if (!s->pending.len) s->since = wh_clock_now();
    wh_buf_put(&s->pending, &one, sizeof one);
    wh_buf_put(&s->pending, values, rows * one.width * sizeof *values);
    if (!wh_buf_ok(&s->pending)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the %s %s", noun, s->path);
    return s->pending.len >= FULL || wh_clock_now() - s->since > patience ? flush(s, err) : WH_OK;
}

wh_code wh_store_close(wh_store *s, wh_err *err)
{
    if (!s) return WH_OK;
    wh_err second;
    wh_code code = s->frames ? flush(s, err) : WH_OK, closing = wh_frames_close(s->frames, &second);
    if (code == WH_OK && closing != WH_OK) {
        if (err) *err = second;
        code = closing;
    }
    wh_buf_free(&s->pending);
    free(s);
    return code;
}
