/* The reader trusts nothing: a cursor hands out bytes of the mapping only after it has checked that they are
 * there; counts are checked against the bytes that are left before memory is sized by them, and tables grow with
 * what was really read. When wh_gguf_open returns WH_OK, every pointer in the object lies in the mapping. */
#include "gguf/gguf_read.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/zfile.h"
#include "gguf/gguf_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(size_t) == 8, "sizes in a GGUF file are 64 bits wide");

/* A tensor, and where its data begins, relative to the data section of its file. */
typedef struct slot {
    wh_gguf_tensor tensor;
    uint64_t       offset;
} slot;

typedef struct part {
    wh_map              file;  /* the mapping, ours to end; empty when the caller gave the content */
    wh_zfile           *zfile; /* of a compressed file, else NULL */
    wh_map              map;   /* the content: file, or what zfile inflates */
    size_t              head;  /* bytes of it before the data */
    uint32_t            version;
    wh_gguf_key        *keys;
    size_t              n_keys, cap_keys;
    const wh_gguf_key **keys_by_name;
} part;

struct wh_gguf {
    part                  *parts;
    size_t                 n_parts;
    slot                  *slots;
    size_t                 n_slots, cap_slots;
    const wh_gguf_tensor **by_name;
};

typedef struct cursor {
    const unsigned char *base;
    size_t               size, pos;
    char                 what[WH_GGUF_MAX_NAME + 16]; /* what is being read, for the sentence */
} cursor;

/* ---- taking bytes ----------------------------------------------------------------------------------- */

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory for the file's tables"); }

static wh_code take(cursor *c, const unsigned char **out, uint64_t n, wh_err *err)
{
    if (n > c->size - c->pos) {
        wh_err_set(err, WH_ERR_FORMAT, "%.80s needs %llu bytes at byte %zu, but the file ends at byte %zu", c->what,
                   (unsigned long long)n, c->pos, c->size);
        return WH_ERR_FORMAT;
    }
    *out = c->base + c->pos;
    c->pos += n;
    return WH_OK;
}

static wh_code take_u32(cursor *c, uint32_t *out, wh_err *err)
{
    const unsigned char *p;
    WH_TRY(take(c, &p, sizeof *out, err));
    memcpy(out, p, sizeof *out);
    return WH_OK;
}

static wh_code take_u64(cursor *c, uint64_t *out, wh_err *err)
{
    const unsigned char *p;
    WH_TRY(take(c, &p, sizeof *out, err));
    memcpy(out, p, sizeof *out);
    return WH_OK;
}

static wh_code take_str(cursor *c, wh_gguf_str *out, wh_err *err)
{
    uint64_t n;
    const unsigned char *p;
    WH_TRY(take_u64(c, &n, err));
    WH_TRY(take(c, &p, n, err));
    *out = (wh_gguf_str){(const char *)p, n};
    return WH_OK;
}

/* The name of entry i of n, as a C string of our own; from then on c->what is "key 'name'". */
static wh_code take_name(cursor *c, const char **name, size_t *len, const char *kind, size_t i, uint64_t n,
                         wh_err *err)
{
    wh_gguf_str s;
    snprintf(c->what, sizeof c->what, "the name of %s %zu of %llu", kind, i + 1, (unsigned long long)n);
    WH_TRY(take_str(c, &s, err));
    if (s.len == 0) return wh_err_set(err, WH_ERR_FORMAT, "%s is empty", c->what);
    if (s.len > WH_GGUF_MAX_NAME)
        return wh_err_set(err, WH_ERR_FORMAT, "%s is %zu bytes long, more than %d", c->what, s.len,
                          WH_GGUF_MAX_NAME);
    if (!wh_gguf_format_is_name((const unsigned char *)s.s, s.len))
        return wh_err_set(err, WH_ERR_FORMAT, "%s is not UTF-8 text", c->what);
    if (!(*name = wh_mem_strndup(s.s, s.len))) return no_memory(err);
    *len = s.len;
    snprintf(c->what, sizeof c->what, "%s '%s'", kind, *name);
    return WH_OK;
}

/* ---- keys ------------------------------------------------------------------------------------------- */

static wh_code take_vtype(cursor *c, wh_gguf_vtype *out, wh_err *err)
{
    uint32_t t;
    WH_TRY(take_u32(c, &t, err));
    if (t >= WH_GGUF_VTYPE_COUNT)
        return wh_err_set(err, WH_ERR_FORMAT, "%.80s has the unknown value type %u", c->what, t);
    *out = (wh_gguf_vtype)t;
    return WH_OK;
}

/* The strings of k, k->count of them: once to check them, once more to note where they start. */
static wh_code take_strings(cursor *c, wh_gguf_key *k, wh_err *err)
{
    if (k->count > WH_GGUF_MAX_STRINGS)
        return wh_err_set(err, WH_ERR_FORMAT, "%.80s claims %zu strings, more than %d", c->what, k->count,
                          WH_GGUF_MAX_STRINGS);
    size_t start = c->pos;
    wh_gguf_str s;
    for (size_t i = 0; i < k->count; i++) WH_TRY(take_str(c, &s, err));
    k->data = c->base + start;
    k->bytes = c->pos - start;
    if (k->type != WH_GGUF_ARRAY) return WH_OK;

    const unsigned char **items = wh_mem_alloc(k->count, sizeof *items);
    if (!items) return no_memory(err);
    k->items = items;
    c->pos = start;
    for (size_t i = 0; i < k->count; i++) {
        items[i] = c->base + c->pos;
        WH_TRY(take_str(c, &s, err));
    }
    return WH_OK;
}

static wh_code take_value(cursor *c, wh_gguf_key *k, wh_err *err)
{
    WH_TRY(take_vtype(c, &k->type, err));
    k->item = k->type;
    k->count = 1;
    if (k->type == WH_GGUF_ARRAY) {
        uint64_t count;
        WH_TRY(take_vtype(c, &k->item, err));
        if (k->item == WH_GGUF_ARRAY)
            return wh_err_set(err, WH_ERR_UNSUPPORTED, "%.80s is an array of arrays", c->what);
        WH_TRY(take_u64(c, &count, err));
        k->count = count;
    }
    if (k->item == WH_GGUF_STR) return take_strings(c, k, err);

    if (!wh_mem_mul(&k->bytes, k->count, wh_gguf_vtype_bytes(k->item))) k->bytes = SIZE_MAX;
    WH_TRY(take(c, &k->data, k->bytes, err));
    if (k->item == WH_GGUF_BOOL)
        for (size_t i = 0; i < k->count; i++)
            if (k->data[i] > 1)
                return wh_err_set(err, WH_ERR_FORMAT, "%.80s holds the byte %d where a bool (0 or 1) belongs",
                                  c->what, k->data[i]);
    return WH_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const wh_gguf_key *const *)a)->name, (*(const wh_gguf_key *const *)b)->name);
}

static wh_code take_keys(cursor *c, part *p, uint64_t n, wh_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (p->n_keys == p->cap_keys) {
            size_t cap = p->cap_keys ? 2 * p->cap_keys : 32;
            wh_gguf_key *keys = wh_mem_resize(p->keys, cap, sizeof *keys);
            if (!keys) return no_memory(err);
            p->keys = keys;
            p->cap_keys = cap;
        }
        wh_gguf_key *k = &p->keys[p->n_keys++];
        *k = (wh_gguf_key){0};
        WH_TRY(take_name(c, &k->name, &k->name_len, "key", i, n, err));
        WH_TRY(take_value(c, k, err));
    }
    if (!(p->keys_by_name = wh_mem_alloc(p->n_keys, sizeof *p->keys_by_name))) return no_memory(err);
    for (size_t i = 0; i < p->n_keys; i++) p->keys_by_name[i] = &p->keys[i];
    qsort(p->keys_by_name, p->n_keys, sizeof *p->keys_by_name, compare_keys);
    for (size_t i = 1; i < p->n_keys; i++)
        if (compare_keys(&p->keys_by_name[i - 1], &p->keys_by_name[i]) == 0)
            return wh_err_set(err, WH_ERR_FORMAT, "key '%.80s' appears twice", p->keys_by_name[i]->name);
    return WH_OK;
}

static const wh_gguf_key *find_key(const part *p, const char *name)
{
    wh_gguf_key probe = {.name = name};
    const wh_gguf_key *wanted = &probe;
    const wh_gguf_key **hit =
        bsearch(&wanted, p->keys_by_name, p->n_keys, sizeof *p->keys_by_name, compare_keys);
    return hit ? *hit : NULL;
}

static wh_code read_alignment(const part *p, uint64_t *out, wh_err *err)
{
    *out = WH_GGUF_DEFAULT_ALIGNMENT;
    const wh_gguf_key *k = find_key(p, WH_GGUF_KEY_ALIGNMENT);
    if (!k) return WH_OK;
    if (k->type != WH_GGUF_U32)
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is of type %s instead of u32", k->name,
                          wh_gguf_vtype_name(k->type));
    wh_gguf_key_u64(k, out);
    if (!wh_gguf_format_is_alignment(*out))
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is %llu: not a power of two, or below %d", k->name,
                          (unsigned long long)*out, WH_GGUF_MIN_ALIGNMENT);
    return WH_OK;
}

/* ---- tensors ---------------------------------------------------------------------------------------- */

/* Shape and type to bytes. */
static wh_code measure(const cursor *c, wh_gguf_tensor *t, wh_err *err)
{
    size_t rows = 1, row_bytes = wh_quant_row_bytes(t->type, t->dims[0]);
    const wh_quant_info *f = &wh_quant_table[t->type];
    if (t->dims[0] % f->block != 0)
        return wh_err_set(err, WH_ERR_FORMAT, "%.80s has rows of %llu weights, no whole number of %s blocks of %zu",
                          c->what, (unsigned long long)t->dims[0], f->name, f->block);
    bool fits = row_bytes != 0;
    for (int i = 1; i < WH_GGUF_MAX_DIMS; i++) fits = fits && wh_mem_mul(&rows, rows, t->dims[i]);
    if (!fits || !wh_mem_mul(&t->bytes, rows, row_bytes))
        return wh_err_set(err, WH_ERR_FORMAT, "%.80s is of an absurd size: [%llu, %llu, %llu, %llu]", c->what,
                          (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
                          (unsigned long long)t->dims[2], (unsigned long long)t->dims[3]);
    return WH_OK;
}

static wh_code take_tensor(cursor *c, slot *s, wh_err *err)
{
    wh_gguf_tensor *t = &s->tensor;
    uint32_t n_dims, id;
    WH_TRY(take_u32(c, &n_dims, err));
    if (n_dims < 1 || n_dims > WH_GGUF_MAX_DIMS)
        return wh_err_set(err, WH_ERR_FORMAT, "%.80s has %u dimensions instead of 1 to %d", c->what, n_dims,
                          WH_GGUF_MAX_DIMS);
    t->n_dims = (int)n_dims;
    for (int i = 0; i < WH_GGUF_MAX_DIMS; i++) {
        t->dims[i] = 1;
        if (i >= t->n_dims) continue;
        WH_TRY(take_u64(c, &t->dims[i], err));
        if (t->dims[i] == 0) return wh_err_set(err, WH_ERR_FORMAT, "%.80s has a dimension of zero", c->what);
    }
    WH_TRY(take_u32(c, &id, err));
    if (!wh_quant_from_gguf_id(&t->type, id)) {
        const char *name = wh_quant_gguf_name(id);
        if (name)
            return wh_err_set(err, WH_ERR_UNSUPPORTED, "%.80s is of type %s, which Whet does not read", c->what,
                              name);
        return wh_err_set(err, WH_ERR_FORMAT, "%.80s is of the unknown type %u", c->what, id);
    }
    WH_TRY(take_u64(c, &s->offset, err));
    return measure(c, t, err);
}

static wh_code take_tensors(cursor *c, wh_gguf *g, uint64_t n, wh_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (g->n_slots == g->cap_slots) {
            size_t cap = g->cap_slots ? 2 * g->cap_slots : 64;
            slot *slots = wh_mem_resize(g->slots, cap, sizeof *slots);
            if (!slots) return no_memory(err);
            g->slots = slots;
            g->cap_slots = cap;
        }
        slot *s = &g->slots[g->n_slots++];
        *s = (slot){0};
        WH_TRY(take_name(c, &s->tensor.name, &s->tensor.name_len, "tensor", i, n, err));
        WH_TRY(take_tensor(c, s, err));
    }
    return WH_OK;
}

/* Offsets to pointers, for the tensors from `first` on: those of the file under the cursor. */
static wh_code place_tensors(const cursor *c, wh_gguf *g, part *p, size_t first, uint64_t alignment, wh_err *err)
{
    uint64_t start = (c->pos + alignment - 1) & ~(alignment - 1), size = p->map.size;
    p->head = start < size ? start : size;
    for (size_t i = first; i < g->n_slots; i++) {
        wh_gguf_tensor *t = &g->slots[i].tensor;
        uint64_t offset = g->slots[i].offset;
        if (offset % alignment != 0)
            return wh_err_set(err, WH_ERR_FORMAT, "tensor '%.80s' is at offset %llu, which is no multiple of %llu",
                              t->name, (unsigned long long)offset, (unsigned long long)alignment);
        if (start > size || offset > size - start || t->bytes > size - start - offset)
            return wh_err_set(err, WH_ERR_FORMAT,
                              "tensor '%.80s' (%zu bytes at offset %llu) reaches beyond the end of the file, byte %zu",
                              t->name, t->bytes, (unsigned long long)offset, p->map.size);
        t->data = c->base + start + offset;
    }
    return WH_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const wh_gguf_tensor *const *)a)->name, (*(const wh_gguf_tensor *const *)b)->name);
}

static int compare_places(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(const wh_gguf_tensor *const *)a)->data;
    uintptr_t y = (uintptr_t)(*(const wh_gguf_tensor *const *)b)->data;
    return (x > y) - (x < y);
}

/* No two tensors share a byte, no two a name; leaves by_name sorted for lookups. */
static wh_code index_tensors(wh_gguf *g, wh_err *err)
{
    size_t n = g->n_slots;
    const wh_gguf_tensor **sorted = wh_mem_alloc(n, sizeof *sorted);
    if (!sorted) return no_memory(err);
    g->by_name = sorted;
    for (size_t i = 0; i < n; i++) sorted[i] = &g->slots[i].tensor;
    qsort(sorted, n, sizeof *sorted, compare_places);
    for (size_t i = 1; i < n; i++)
        if ((uintptr_t)sorted[i]->data - (uintptr_t)sorted[i - 1]->data < sorted[i - 1]->bytes)
            return wh_err_set(err, WH_ERR_FORMAT, "the data of tensors '%.80s' and '%.80s' overlap",
                              sorted[i - 1]->name, sorted[i]->name);
    qsort(sorted, n, sizeof *sorted, compare_names);
    for (size_t i = 1; i < n; i++)
        if (compare_names(&sorted[i - 1], &sorted[i]) == 0)
            return wh_err_set(err, WH_ERR_FORMAT, "tensor '%.80s' appears twice", sorted[i]->name);
    return WH_OK;
}

/* ---- files ------------------------------------------------------------------------------------------ */

/* A count in the header, each of whose entries takes at least `least` bytes. */
static wh_code take_count(cursor *c, uint64_t *out, const char *what, uint64_t limit, size_t least, wh_err *err)
{
    WH_TRY(take_u64(c, out, err));
    if (*out > limit || *out > c->size / least)
        return wh_err_set(err, WH_ERR_FORMAT, "the header claims %llu %s, more than a file of %zu bytes can hold",
                          (unsigned long long)*out, what, c->size);
    return WH_OK;
}

static wh_code read_part(wh_gguf *g, part *p, wh_err *err)
{
    enum { LEAST_KEY = 8 + 1 + 4 + 1, LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8 };
    /* What is not inflated yet is not read: it will change. */
    cursor c = {.base = p->map.data, .size = p->zfile ? wh_zfile_ready(p->zfile) : p->map.size, .what = "the header"};
    const unsigned char *magic;
    uint64_t n_tensors, n_keys, alignment;
    WH_TRY(take(&c, &magic, 4, err));
    if (memcmp(magic, WH_GGUF_MAGIC, 4) != 0)
        return wh_err_set(err, WH_ERR_FORMAT, "not a GGUF file (it begins with the bytes %02x %02x %02x %02x)",
                          magic[0], magic[1], magic[2], magic[3]);
    WH_TRY(take_u32(&c, &p->version, err));
    if (p->version != 0 && (p->version & 0xffff) == 0)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "a big-endian GGUF file");
    if (p->version != 2 && p->version != 3)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "GGUF version %u; Whet reads 2 and 3", p->version);
    WH_TRY(take_count(&c, &n_tensors, "tensors", WH_GGUF_MAX_TENSORS, LEAST_TENSOR, err));
    WH_TRY(take_count(&c, &n_keys, "keys", WH_GGUF_MAX_KEYS, LEAST_KEY, err));
    size_t first = g->n_slots;
    WH_TRY(take_keys(&c, p, n_keys, err));
    WH_TRY(read_alignment(p, &alignment, err));
    WH_TRY(take_tensors(&c, g, n_tensors, err));
    return place_tensors(&c, g, p, first, alignment, err);
}

static wh_code attach(part *p, wh_err *err)
{
    p->map = p->file;
    if (!wh_zfile_is(p->file.data, p->file.size)) return WH_OK;
    WH_TRY(wh_zfile_open(&p->zfile, p->file.data, p->file.size, err));
    p->map = (wh_map){wh_zfile_data(p->zfile), wh_zfile_size(p->zfile)};
    return WH_OK;
}

static wh_code read_file(wh_gguf *g, part *p, const char *path, wh_err *err)
{
    WH_TRY(wh_file_map(&p->file, path, err));
    wh_code code = attach(p, err);
    if (code == WH_OK) code = read_part(g, p, err);
    if (code == WH_OK) return WH_OK;
    enum { SHOWN = 100 };
    size_t len = strlen(path);
    wh_err_wrap(err, "%s%s", len > SHOWN ? "..." : "", len > SHOWN ? path + len - SHOWN : path);
    return code;
}

static wh_code create(wh_gguf **out, size_t n_parts, wh_err *err)
{
    wh_gguf *g = wh_mem_zalloc(1, sizeof *g);
    if (!g) return no_memory(err);
    *out = g;
    if (!(g->parts = wh_mem_zalloc(n_parts, sizeof *g->parts))) return no_memory(err);
    g->n_parts = n_parts;
    return WH_OK;
}

/* "stem-00002-of-00003.gguf": the length of the stem and the number of parts; false for other names. */
static bool split_name(const char *path, size_t *stem, unsigned *count)
{
    enum { SUFFIX = sizeof "-00002-of-00003.gguf" - 1 };
    size_t len = strlen(path);
    if (len <= SUFFIX) return false;
    const char *s = path + len - SUFFIX;
    for (size_t i = 0; i < SUFFIX; i++) {
        char want = "-#####-of-#####.gguf"[i];
        if (want == '#' ? s[i] < '0' || s[i] > '9' : s[i] != want) return false;
    }
    *stem = len - SUFFIX;
    *count = (unsigned)strtoul(s + 10, NULL, 10);
    return *count > 0;
}

static wh_code check_split(const part *p, const char *path, const char *key, uint64_t want, wh_err *err)
{
    uint64_t have;
    const wh_gguf_key *k = find_key(p, key);
    if (!k || !wh_gguf_key_u64(k, &have))
        return wh_err_set(err, WH_ERR_FORMAT, "%s: key '%s' is missing or no integer", path, key);
    if (have != want)
        return wh_err_set(err, WH_ERR_FORMAT, "%s: key '%s' is %llu instead of %llu", path, key,
                          (unsigned long long)have, (unsigned long long)want);
    return WH_OK;
}

static wh_code open_split(wh_gguf *g, const char *path, size_t stem, wh_err *err)
{
    for (size_t i = 0; i < g->n_parts; i++) {
        wh_buf name = {0};
        wh_buf_put(&name, path, stem);
        wh_buf_printf(&name, "-%05zu-of-%05zu.gguf", i + 1, g->n_parts);
        wh_code code = wh_buf_ok(&name) ? read_file(g, &g->parts[i], name.data, err) : no_memory(err);
        if (code == WH_OK) code = check_split(&g->parts[i], name.data, "split.no", i, err);
        if (code == WH_OK) code = check_split(&g->parts[i], name.data, "split.count", g->n_parts, err);
        wh_buf_free(&name);
        if (code != WH_OK) return code;
    }
    return check_split(&g->parts[0], path, "split.tensors.count", g->n_slots, err);
}

static wh_code open_single(wh_gguf *g, const char *path, wh_err *err)
{
    uint64_t count;
    WH_TRY(read_file(g, &g->parts[0], path, err));
    const wh_gguf_key *k = find_key(&g->parts[0], "split.count");
    if (k && (!wh_gguf_key_u64(k, &count) || count > 1))
        return wh_err_set(err, WH_ERR_FORMAT,
                          "%s: key 'split.count' says it is a part, but its name is not like x-00001-of-00002.gguf",
                          path);
    return WH_OK;
}

/* Common end of the two ways to open: the object is handed over whole or not at all. */
static wh_code finish(wh_gguf **out, wh_gguf *g, wh_code code, wh_err *err)
{
    if (code == WH_OK) code = index_tensors(g, err);
    if (code != WH_OK) {
        wh_gguf_close(g);
        g = NULL;
    }
    *out = g;
    return code;
}

wh_code wh_gguf_open(wh_gguf **out, const char *path, wh_err *err)
{
    wh_gguf *g = NULL;
    size_t stem;
    unsigned count = 1;
    bool split = split_name(path, &stem, &count);
    wh_code code = create(&g, count, err);
    if (code == WH_OK) code = split ? open_split(g, path, stem, err) : open_single(g, path, err);
    return finish(out, g, code, err);
}

wh_code wh_gguf_open_memory(wh_gguf **out, const void *data, size_t n, wh_err *err)
{
    wh_gguf *g = NULL;
    wh_code code = create(&g, 1, err);
    if (code == WH_OK) {
        g->parts[0].map = (wh_map){data, n};
        code = read_part(g, &g->parts[0], err);
    }
    return finish(out, g, code, err);
}

void wh_gguf_close(wh_gguf *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n_parts; i++) {
        part *p = &g->parts[i];
        for (size_t k = 0; k < p->n_keys; k++) {
            free((void *)(uintptr_t)p->keys[k].name);
            free((void *)(uintptr_t)p->keys[k].items);
        }
        free(p->keys);
        free(p->keys_by_name);
        wh_zfile_free(p->zfile);
        wh_file_unmap(&p->file);
    }
    for (size_t i = 0; i < g->n_slots; i++) free((void *)(uintptr_t)g->slots[i].tensor.name);
    free(g->parts);
    free(g->slots);
    free(g->by_name);
    free(g);
}

/* ---- what was read ---------------------------------------------------------------------------------- */

uint32_t wh_gguf_version(const wh_gguf *g) { return g->parts[0].version; }

size_t wh_gguf_file_count(const wh_gguf *g) { return g->n_parts; }

uint64_t wh_gguf_file_bytes(const wh_gguf *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < g->n_parts; i++) sum += g->parts[i].file.data ? g->parts[i].file.size : g->parts[i].map.size;
    return sum;
}

size_t wh_gguf_head_bytes(const wh_gguf *g) { return g->parts[0].head; }

wh_code wh_gguf_inflate(wh_gguf *g, wh_par *par, wh_err *err)
{
    for (size_t i = 0; i < g->n_parts; i++)
        if (g->parts[i].zfile) WH_TRY(wh_zfile_inflate(g->parts[i].zfile, par, err));
    return WH_OK;
}

void wh_gguf_release(const wh_gguf *g, const wh_gguf_tensor *t)
{
    for (size_t i = 0; i < g->n_parts; i++) {
        const part *p = &g->parts[i];
        uintptr_t offset = (uintptr_t)t->data - (uintptr_t)p->map.data;
        if (p->map.data == p->file.data && offset < p->map.size) wh_file_map_release(&p->map, offset, t->bytes);
    }
}

size_t wh_gguf_tensor_count(const wh_gguf *g) { return g->n_slots; }

const wh_gguf_tensor *wh_gguf_tensor_at(const wh_gguf *g, size_t i) { return &g->slots[i].tensor; }

const wh_gguf_tensor *wh_gguf_find_tensor(const wh_gguf *g, const char *name)
{
    wh_gguf_tensor probe = {.name = name};
    const wh_gguf_tensor *wanted = &probe;
    const wh_gguf_tensor **hit = bsearch(&wanted, g->by_name, g->n_slots, sizeof *g->by_name, compare_names);
    return hit ? *hit : NULL;
}

size_t wh_gguf_key_count(const wh_gguf *g) { return g->parts[0].n_keys; }

const wh_gguf_key *wh_gguf_key_at(const wh_gguf *g, size_t i) { return &g->parts[0].keys[i]; }

const wh_gguf_key *wh_gguf_find_key(const wh_gguf *g, const char *key) { return find_key(&g->parts[0], key); }
