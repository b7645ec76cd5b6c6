/* Keys and tensor descriptions collect in two buffers, since the header counts them; begin writes header and
 * buffers, and from then on only data passes through. The data section starts at a multiple of the alignment and
 * every tensor is padded to one, so file position and tensor offset stay aligned together. */
#include "gguf/gguf_write.h"

#include "base/file.h"
#include "base/mem.h"
#include "gguf/gguf_format.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct wh_gguf_writer {
    char    *path, *tmp; /* tmp: where the file grows */
    FILE    *f;
    uint32_t alignment;
    wh_buf   keys, infos; /* as in the file */
    uint64_t n_keys, n_tensors;
    uint64_t data_bytes; /* of all declared tensors, padded */
    wh_buf   sizes;      /* size_t of each tensor, unpadded */
    uint64_t current;    /* the tensor whose data comes next, */
    size_t   done;       /* and how much of it has come */
};

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory to write a GGUF file"); }

wh_code wh_gguf_write_create(wh_gguf_writer **out, const char *path, uint32_t alignment, wh_err *err)
{
    *out = NULL;
    if (!wh_gguf_format_is_alignment(alignment))
        return wh_err_set(err, WH_ERR_ARG, "a GGUF alignment of %u is not a power of two, or below %d", alignment,
                          WH_GGUF_MIN_ALIGNMENT);
    wh_gguf_writer *w = wh_mem_zalloc(1, sizeof *w);
    if (!w) return no_memory(err);
    wh_buf tmp = {0};
    wh_buf_printf(&tmp, "%s.tmp%ld", path, (long)getpid());
    w->path = wh_mem_strndup(path, strlen(path));
    w->tmp = tmp.data;
    w->alignment = alignment;
    wh_code code = wh_buf_ok(&tmp) && w->path ? WH_OK : no_memory(err);
    if (code == WH_OK && alignment != WH_GGUF_DEFAULT_ALIGNMENT)
        code = wh_gguf_write_u32(w, WH_GGUF_KEY_ALIGNMENT, alignment, err);
    if (code != WH_OK) {
        wh_gguf_write_abort(w);
        w = NULL;
    }
    *out = w;
    return code;
}

/* ---- keys ------------------------------------------------------------------------------------------- */

static void put_u32(wh_buf *b, uint32_t x) { wh_buf_put(b, &x, sizeof x); }

static void put_u64(wh_buf *b, uint64_t x) { wh_buf_put(b, &x, sizeof x); }

static void put_str(wh_buf *b, const char *s, size_t n)
{
    put_u64(b, n);
    wh_buf_put(b, s, n);
}

static void start_key(wh_gguf_writer *w, const char *key, wh_gguf_vtype type)
{
    w->n_keys++;
    put_str(&w->keys, key, strlen(key));
    put_u32(&w->keys, type);
}

static void start_array(wh_gguf_writer *w, const char *key, wh_gguf_vtype item, size_t n)
{
    start_key(w, key, WH_GGUF_ARRAY);
    put_u32(&w->keys, item);
    put_u64(&w->keys, n);
}

static wh_code end_key(const wh_gguf_writer *w, wh_err *err) { return wh_buf_ok(&w->keys) ? WH_OK : no_memory(err); }

wh_code wh_gguf_write_value(wh_gguf_writer *w, const char *key, wh_gguf_vtype type, const void *value, wh_err *err)
{
    start_key(w, key, type);
    wh_buf_put(&w->keys, value, wh_gguf_vtype_bytes(type));
    return end_key(w, err);
}

wh_code wh_gguf_write_array(wh_gguf_writer *w, const char *key, wh_gguf_vtype type, const void *items, size_t n,
                            wh_err *err)
{
    start_array(w, key, type, n);
    wh_buf_put(&w->keys, items, n * wh_gguf_vtype_bytes(type));
    return end_key(w, err);
}

wh_code wh_gguf_write_str(wh_gguf_writer *w, const char *key, const char *value, wh_err *err)
{
    start_key(w, key, WH_GGUF_STR);
    put_str(&w->keys, value, strlen(value));
    return end_key(w, err);
}

wh_code wh_gguf_write_str_array(wh_gguf_writer *w, const char *key, const wh_gguf_str *items, size_t n, wh_err *err)
{
    start_array(w, key, WH_GGUF_STR, n);
    for (size_t i = 0; i < n; i++) put_str(&w->keys, items[i].s, items[i].len);
    return end_key(w, err);
}

wh_code wh_gguf_write_u32(wh_gguf_writer *w, const char *key, uint32_t value, wh_err *err)
{
    return wh_gguf_write_value(w, key, WH_GGUF_U32, &value, err);
}

wh_code wh_gguf_write_f32(wh_gguf_writer *w, const char *key, float value, wh_err *err)
{
    return wh_gguf_write_value(w, key, WH_GGUF_F32, &value, err);
}

wh_code wh_gguf_write_bool(wh_gguf_writer *w, const char *key, bool value, wh_err *err)
{
    return wh_gguf_write_value(w, key, WH_GGUF_BOOL, &value, err);
}

wh_code wh_gguf_write_key(wh_gguf_writer *w, const wh_gguf_key *key, wh_err *err)
{
    if (key->type == WH_GGUF_ARRAY) start_array(w, key->name, key->item, key->count);
    else start_key(w, key->name, key->type);
    wh_buf_put(&w->keys, key->data, key->bytes);
    return end_key(w, err);
}

/* ---- tensors ---------------------------------------------------------------------------------------- */

wh_code wh_gguf_write_tensor(wh_gguf_writer *w, const char *name, wh_type type, int n_dims, const uint64_t *dims,
                             wh_err *err)
{
    size_t bytes = n_dims > 0 ? wh_quant_row_bytes(type, dims[0]) : 0, padded, total;
    bool fits = bytes != 0;
    for (int i = 1; i < n_dims; i++) fits = fits && wh_mem_mul(&bytes, bytes, dims[i]);
    if (!fits || !wh_mem_add(&padded, bytes, w->alignment - 1) || !wh_mem_add(&total, w->data_bytes, padded))
        return wh_err_set(err, WH_ERR_ARG, "tensor '%.80s': its shape does not suit the type %s", name,
                          wh_quant_table[type].name);
    put_str(&w->infos, name, strlen(name));
    put_u32(&w->infos, (uint32_t)n_dims);
    for (int i = 0; i < n_dims; i++) put_u64(&w->infos, dims[i]);
    put_u32(&w->infos, wh_quant_table[type].gguf_id);
    put_u64(&w->infos, w->data_bytes);
    wh_buf_put(&w->sizes, &bytes, sizeof bytes);
    if (!wh_buf_ok(&w->infos) || !wh_buf_ok(&w->sizes)) return no_memory(err);
    w->data_bytes = total / w->alignment * w->alignment;
    w->n_tensors++;
    return WH_OK;
}

static size_t tensor_bytes(const wh_gguf_writer *w)
{
    size_t n;
    memcpy(&n, w->sizes.data + w->current * sizeof n, sizeof n);
    return n;
}

static wh_code put(wh_gguf_writer *w, const void *data, size_t n, wh_err *err)
{
    if (n && fwrite(data, 1, n, w->f) != n) return wh_err_errno(err, "cannot write %s", w->tmp);
    return WH_OK;
}

/* Zeros from position n to the next multiple of the alignment. */
static wh_code pad(wh_gguf_writer *w, size_t n, wh_err *err)
{
    static const char zeros[64];
    size_t rest = (w->alignment - n % w->alignment) % w->alignment;
    for (size_t step; rest; rest -= step) {
        step = rest < sizeof zeros ? rest : sizeof zeros;
        WH_TRY(put(w, zeros, step, err));
    }
    return WH_OK;
}

wh_code wh_gguf_write_begin(wh_gguf_writer *w, wh_err *err)
{
    struct stat st;
    if (stat(w->path, &st) == 0 && !S_ISREG(st.st_mode)) /* a rename would replace a device or a pipe */
        return wh_err_set(err, WH_ERR_IO, "%s exists and is not a regular file", w->path);
    w->f = fopen(w->tmp, "wbe");
    if (!w->f) return wh_err_errno(err, "cannot create %s", w->tmp);
    wh_buf head = {0};
    wh_buf_puts(&head, WH_GGUF_MAGIC);
    put_u32(&head, WH_GGUF_VERSION);
    put_u64(&head, w->n_tensors);
    put_u64(&head, w->n_keys);
    wh_code code = wh_buf_ok(&head) ? put(w, head.data, head.len, err) : no_memory(err);
    if (code == WH_OK) code = put(w, w->keys.data, w->keys.len, err);
    if (code == WH_OK) code = put(w, w->infos.data, w->infos.len, err);
    if (code == WH_OK) code = pad(w, head.len + w->keys.len + w->infos.len, err);
    wh_buf_free(&head);
    return code;
}

wh_code wh_gguf_write_data(wh_gguf_writer *w, const void *data, size_t n, wh_err *err)
{
    assert(w->f);
    const char *p = data;
    while (n) {
        if (w->current == w->n_tensors)
            return wh_err_set(err, WH_ERR_ARG, "%s: more data than the tensors declared", w->path);
        size_t bytes = tensor_bytes(w), step = bytes - w->done < n ? bytes - w->done : n;
        WH_TRY(put(w, p, step, err));
        p += step;
        n -= step;
        w->done += step;
        if (w->done < bytes) continue;
        WH_TRY(pad(w, bytes, err));
        w->current++;
        w->done = 0;
    }
    return WH_OK;
}

static wh_code check_by_reading(const wh_gguf_writer *w, wh_err *err)
{
    wh_map map;
    wh_gguf *g;
    WH_TRY(wh_file_map(&map, w->tmp, err));
    wh_code code = wh_gguf_open_memory(&g, map.data, map.size, err);
    wh_gguf_close(g);
    wh_file_unmap(&map);
    return code;
}

static wh_code commit(wh_gguf_writer *w, wh_err *err)
{
    if (w->current != w->n_tensors)
        return wh_err_set(err, WH_ERR_ARG, "%s: only %llu of %llu tensors have their data", w->path,
                          (unsigned long long)w->current, (unsigned long long)w->n_tensors);
    if (fflush(w->f) != 0 || fsync(fileno(w->f)) != 0) return wh_err_errno(err, "cannot write %s", w->tmp);
    WH_TRY(check_by_reading(w, err));
    if (rename(w->tmp, w->path) != 0) return wh_err_errno(err, "cannot rename to %s", w->path);
    return WH_OK;
}

wh_code wh_gguf_write_finish(wh_gguf_writer *w, wh_err *err)
{
    assert(w->f);
    wh_code code = commit(w, err);
    wh_gguf_write_abort(w); /* after the renaming there is nothing left to remove */
    return code;
}

void wh_gguf_write_abort(wh_gguf_writer *w)
{
    if (!w) return;
    if (w->f) {
        fclose(w->f);
        unlink(w->tmp);
    }
    free(w->path);
    free(w->tmp);
    wh_buf_free(&w->keys);
    wh_buf_free(&w->infos);
    wh_buf_free(&w->sizes);
    free(w);
}
