#include "model/pack.h"

#include "base/file.h"
#include "base/zfile.h"
#include "gguf/gguf_write.h"
#include "kern/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX      "whet.pack."
#define KEY_VERSION PREFIX "version"
#define KEY_SOURCE  PREFIX "source"
#define KEY_FAST    PREFIX "fast"
#define KEY_MATRIX  PREFIX "matrix."
enum { ALIGNMENT = 64, MOST_NAME = 255 };

/* ---- reading --------------------------------------------------------------------------------------------- */

wh_code wh_pack_recognise(bool *out, const wh_gguf *g, wh_err *err)
{
    uint32_t version;
    *out = wh_gguf_has(g, KEY_VERSION);
    if (!*out) return WH_OK;
    WH_TRY(wh_gguf_get_u32(g, KEY_VERSION, &version, err));
    if (version != WH_LAYOUT_VERSION)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "a packed file of layout version %u, this Whet reads %d: pack its source anew", version,
                          WH_LAYOUT_VERSION);
    return WH_OK;
}

wh_code wh_pack_form(wh_mat_form *out, const wh_gguf *g, wh_err *err)
{
    bool fast = false;
    if (wh_gguf_has(g, KEY_FAST)) WH_TRY(wh_gguf_get_bool(g, KEY_FAST, &fast, err));
    *out = fast ? WH_MAT_FAST : WH_MAT_EXACT;
    return WH_OK;
}

wh_gguf_str wh_pack_source(const wh_gguf *g)
{
    wh_gguf_str s = {0};
    (void)wh_gguf_get_str(g, KEY_SOURCE, &s, NULL);
    return s;
}

typedef struct shape {
    wh_type type;
    size_t  cols, rows;
} shape;

/* What the file says a packed matrix is; false when it says nothing or nonsense, with a sentence. */
static bool read_shape(shape *out, const wh_gguf *g, const char *name, wh_err *err)
{
    char key[sizeof KEY_MATRIX + MOST_NAME];
    const wh_gguf_key *a;
    snprintf(key, sizeof key, KEY_MATRIX "%s", name);
    if (wh_gguf_get_i32_array(g, key, &a, err) != WH_OK) return false;
    bool ok = a->count == 3 && wh_quant_from_gguf_id(&out->type, (uint32_t)wh_gguf_i32_at(a, 0));
    for (size_t i = 1; ok && i < 3; i++) ok = wh_gguf_i32_at(a, i) > 0;
    if (!ok) {
        wh_err_set(err, WH_ERR_FORMAT, "key '%s' does not hold a type, columns and rows", key);
        return false;
    }
    out->cols = (size_t)wh_gguf_i32_at(a, 1);
    out->rows = (size_t)wh_gguf_i32_at(a, 2);
    return true;
}

wh_code wh_pack_find(wh_mat **out, const wh_gguf *g, const char *name, size_t rows, size_t cols, wh_err *err)
{
    shape s;
    wh_mat_form form;
    *out = NULL;
    if (!read_shape(&s, g, name, err)) return WH_ERR_FORMAT;
    WH_TRY(wh_pack_form(&form, g, err));
    if (s.rows != rows || s.cols != cols)
        return wh_err_set(err, WH_ERR_FORMAT, "packed tensor '%s' has shape [%zu, %zu]: expected [%zu, %zu]", name, s.cols, s.rows, cols, rows);
    const wh_gguf_tensor *t = wh_gguf_find_tensor(g, name);
    if (!t || t->type != WH_TYPE_I8) return wh_err_set(err, WH_ERR_FORMAT, "packed tensor '%s' is missing", name);
    return wh_mat_borrow(out, form, s.type, t->data, t->bytes, rows, cols, err);
}

wh_gguf_tensor wh_pack_unpacked(const wh_gguf *g, const wh_gguf_tensor *t)
{
    wh_gguf_tensor u = *t;
    shape s;
    if (t->type != WH_TYPE_I8 || !read_shape(&s, g, t->name, NULL)) return u;
    u.type = s.type;
    u.n_dims = 2;
    u.dims[0] = s.cols;
    u.dims[1] = s.rows;
    u.dims[2] = u.dims[3] = 1;
    return u;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static wh_code put_keys(wh_gguf_writer *w, const wh_model *m, const char *source, wh_err *err)
{
    const wh_gguf *g = m->gguf;
    for (size_t i = 0; i < wh_gguf_key_count(g); i++) {
        const wh_gguf_key *k = wh_gguf_key_at(g, i);
        bool ours = strncmp(k->name, PREFIX, strlen(PREFIX)) == 0 && strcmp(k->name, KEY_SOURCE) != 0;
        if (!ours && strcmp(k->name, "general.alignment") != 0 && strncmp(k->name, "split.", 6) != 0) WH_TRY(wh_gguf_write_key(w, k, err));
    }
    if (!wh_gguf_has(g, KEY_SOURCE)) WH_TRY(wh_gguf_write_str(w, KEY_SOURCE, source, err));
    if (m->form == WH_MAT_FAST) WH_TRY(wh_gguf_write_bool(w, KEY_FAST, true, err));
    return wh_gguf_write_u32(w, KEY_VERSION, WH_LAYOUT_VERSION, err);
}

static wh_code declare_matrix(wh_gguf_writer *w, const char *name, const wh_mat *mat, wh_err *err)
{
    char    key[sizeof KEY_MATRIX + MOST_NAME];
    size_t  rows = wh_mat_rows(mat), cols = wh_mat_cols(mat), panels = rows / WH_PANEL + (rows % WH_PANEL != 0);
    int32_t values[] = {(int32_t)wh_quant_table[wh_mat_type(mat)].gguf_id, (int32_t)cols, (int32_t)rows};
    if (rows > INT32_MAX || cols > INT32_MAX) return wh_err_set(err, WH_ERR_UNSUPPORTED, "tensor '%s' is too large to be packed", name);
    snprintf(key, sizeof key, KEY_MATRIX "%s", name);
    WH_TRY(wh_gguf_write_array(w, key, WH_GGUF_I32, values, 3, err));
    return wh_gguf_write_tensor(w, name, WH_TYPE_I8, 2, (const uint64_t[]){wh_mat_bytes(mat) / panels, panels}, err);
}

/* Is the tensor written as a packed matrix? */
static bool is_packed(const wh_model *m, const wh_gguf_tensor *t)
{
    for (size_t i = 0; i < m->n_mats; i++)
        if (strcmp(m->mats[i].name, t->name) == 0) return true;
    return false;
}

static wh_code put_tensors(wh_gguf_writer *w, const wh_model *m, wh_err *err)
{
    size_t n = wh_gguf_tensor_count(m->gguf);
    for (size_t i = 0; i < n; i++) {
        const wh_gguf_tensor *t = wh_gguf_tensor_at(m->gguf, i);
        if (!is_packed(m, t)) WH_TRY(wh_gguf_write_tensor(w, t->name, t->type, t->n_dims, t->dims, err));
    }
    for (size_t i = 0; i < m->n_mats; i++) WH_TRY(declare_matrix(w, m->mats[i].name, m->mats[i].w, err));
    WH_TRY(wh_gguf_write_begin(w, err));
    for (size_t i = 0; i < n; i++) {
        const wh_gguf_tensor *t = wh_gguf_tensor_at(m->gguf, i);
        if (!is_packed(m, t)) WH_TRY(wh_gguf_write_data(w, t->data, t->bytes, err));
    }
    for (size_t i = 0; i < m->n_mats; i++)
        WH_TRY(wh_gguf_write_data(w, wh_mat_panels(m->mats[i].w), wh_mat_bytes(m->mats[i].w), err));
    return WH_OK;
}

static wh_code write_plain(const char *path, const wh_model *m, const char *source, wh_err *err)
{
    wh_gguf_writer *w;
    WH_TRY(wh_gguf_write_create(&w, path, ALIGNMENT, err));
    wh_code code = put_keys(w, m, source, err);
    if (code == WH_OK) code = put_tensors(w, m, err);
    if (code == WH_OK) return wh_gguf_write_finish(w, err);
    wh_gguf_write_abort(w);
    return code;
}

static wh_code compress(const char *path, const char *plain, wh_par *par, wh_err *err)
{
    wh_map   map;
    wh_gguf *g;
    WH_TRY(wh_file_map(&map, plain, err));
    wh_code code = wh_gguf_open_memory(&g, map.data, map.size, err);
    if (code == WH_OK) code = wh_zfile_write(path, map.data, map.size, wh_gguf_head_bytes(g), par, err);
    wh_gguf_close(g);
    wh_file_unmap(&map);
    return code;
}

wh_code wh_pack_write(const char *path, const wh_model *m, const char *source, bool zstd, wh_par *par, wh_err *err)
{
    if (!zstd) return write_plain(path, m, source, err);
    wh_buf plain = {0};
    wh_buf_printf(&plain, "%s.plain%ld", path, (long)getpid());
    wh_code code = wh_buf_ok(&plain) ? write_plain(plain.data, m, source, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory to write %s", path);
    if (code == WH_OK) code = compress(path, plain.data, par, err);
    if (wh_buf_ok(&plain)) unlink(plain.data);
    wh_buf_free(&plain);
    return code;
}
