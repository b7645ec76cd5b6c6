/* pack: packed files and compressed ones give the bits of their source, and damaged ones a sentence. */
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/zfile.h"
#include "kern/layout.h"
#include "model/forward.h"
#include "model/pack.h"
#include "logit_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const names[] = {"llama3", "qwen2", "qwen3"};
enum { NAMES = sizeof names / sizeof *names, ROWS = 40 };
static const char source[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static char    folder[] = "/tmp/whet-pack-XXXXXX", path[64];
static wh_par *par, *one; /* two threads; one, where much is done and little of it at a time */

static const char *in_folder(const char *name)
{
    static char p[4][96];
    static int  i;
    i = (i + 1) % 4;
    snprintf(p[i], sizeof p[i], "%s/%s", folder, name);
    return p[i];
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    return wh_par_create(&par, 2, NULL) != WH_OK || wh_par_create(&one, 1, NULL) != WH_OK;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const made[] = {"plain", "zstd", "again", "bad", "fast", "exact"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) unlink(in_folder(made[i]));
    wh_par_free(par);
    wh_par_free(one);
    return rmdir(folder);
}

static wh_model *open_model(const char *file)
{
    wh_err    err;
    wh_model *m;
    if (wh_model_open(&m, file, 0, WH_MAT_EXACT, par, &err) != WH_OK) fail_msg("%s", err.msg);
    return m;
}

static const char *golden(const char *name)
{
    snprintf(path, sizeof path, "tests/golden/model/%s.gguf", name);
    return path;
}

static void pack(const char *name, const char *out, bool zstd)
{
    wh_err    err;
    wh_model *m = open_model(golden(name));
    assert_false(m->packed);
    if (wh_pack_write(out, m, source, zstd, par, &err) != WH_OK) fail_msg("%s", err.msg);
    wh_model_free(m);
}

static void read_file(wh_buf *out, const char *file)
{
    *out = (wh_buf){0};
    assert_int_equal(wh_file_read(out, file, 1 << 28, NULL), WH_OK);
}

/* ---- the same bits ----------------------------------------------------------------------------------------- */

/* (ROWS, vocab) logits of some tokens, all in the open block. */
static float *logits(const wh_model *m)
{
    wh_forward *f;
    wh_kv       kv;
    int32_t     tokens[ROWS];
    uint32_t    positions[ROWS], rows[ROWS], open[ROWS] = {0}, table = 0;
    const uint32_t *tables[ROWS];
    _Static_assert((int)ROWS < (int)WH_KV_BLOCK, "no block is closed");
    for (uint32_t i = 0; i < ROWS; i++) {
        tokens[i] = (int32_t)(i * 31 % m->config.vocab);
        positions[i] = rows[i] = i;
        tables[i] = &table;
    }
    assert_int_equal(wh_forward_create(&f, m, par, m->config.layers, ROWS, WH_KV_BLOCK, NULL), WH_OK);
    assert_int_equal(wh_kv_create(&kv, &m->config, 1, 1, NULL), WH_OK);
    logit_sink s = {malloc(ROWS * m->config.vocab * sizeof(float)), m->config.vocab};
    wh_head_sink head = {keep_tile, keep_row, &s};
    wh_batch batch = {.n = ROWS, .tokens = tokens, .positions = positions, .tables = tables, .open = open,
                      .n_out = ROWS, .n_logits = ROWS, .out_rows = rows};
    wh_forward_run(f, &kv, &batch, &head);
    wh_kv_free(&kv);
    wh_forward_free(f);
    return s.out;
}

static void check_same(const wh_model *a, const wh_model *b)
{
    assert_true(b->packed);
    assert_int_equal(a->n_mats, b->n_mats);
    assert_int_equal(a->packed_bytes, b->packed_bytes);
    for (size_t i = 0; i < a->n_mats; i++) {
        const wh_mat *x = a->mats[i].w, *y = b->mats[i].w;
        assert_string_equal(a->mats[i].name, b->mats[i].name);
        assert_int_equal(wh_mat_type(x), wh_mat_type(y));
        assert_int_equal(wh_mat_bytes(x), wh_mat_bytes(y));
        assert_memory_equal(wh_mat_panels(x), wh_mat_panels(y), wh_mat_bytes(x));
    }
    float *first = logits(a), *second = logits(b);
    assert_memory_equal(first, second, ROWS * a->config.vocab * sizeof *first);
    free(first);
    free(second);
}

static void gives_the_same_logits(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        pack(names[i], in_folder("plain"), false);
        pack(names[i], in_folder("zstd"), true);
        wh_model *m = open_model(golden(names[i])), *plain = open_model(in_folder("plain")), *zstd = open_model(in_folder("zstd"));
        check_same(m, plain);
        check_same(m, zstd);
        wh_model_free(m);

        /* Packed again from either, it is the same file, the source's name too. */
        wh_buf first, again;
        read_file(&first, in_folder("plain"));
        const wh_model *from[] = {plain, zstd};
        for (int k = 0; k < 2; k++) {
            assert_int_equal(wh_pack_write(in_folder("again"), from[k], "another", false, par, NULL), WH_OK);
            read_file(&again, in_folder("again"));
            assert_int_equal(first.len, again.len);
            assert_memory_equal(first.data, again.data, first.len);
            wh_buf_free(&again);
        }
        wh_buf_free(&first);
        wh_model_free(plain);
        wh_model_free(zstd);
    }
}

static void keeps_what_the_source_says(void **state)
{
    (void)state;
    wh_gguf *a, *b;
    pack("qwen2", in_folder("plain"), false);
    assert_int_equal(wh_gguf_open(&a, golden("qwen2"), NULL), WH_OK);
    assert_int_equal(wh_gguf_open(&b, in_folder("plain"), NULL), WH_OK);
    for (size_t i = 0; i < wh_gguf_key_count(a); i++) {
        const wh_gguf_key *k = wh_gguf_key_at(a, i), *other = wh_gguf_find_key(b, k->name);
        if (strcmp(k->name, "general.alignment") == 0) continue;
        assert_non_null(other);
        assert_int_equal(k->bytes, other->bytes);
        assert_memory_equal(k->data, other->data, k->bytes);
    }
    for (size_t i = 0; i < wh_gguf_tensor_count(a); i++) {
        const wh_gguf_tensor *t = wh_gguf_tensor_at(a, i), *packed = wh_gguf_find_tensor(b, t->name);
        assert_non_null(packed);
        wh_gguf_tensor u = wh_pack_unpacked(b, packed);
        assert_int_equal(u.type, t->type);
        assert_memory_equal(u.dims, t->dims, sizeof u.dims);
        if (packed->type == WH_TYPE_I8) continue;
        assert_int_equal(t->bytes, packed->bytes);
        assert_memory_equal(t->data, packed->data, t->bytes);
    }
    wh_gguf_str s = wh_pack_source(b);
    assert_int_equal(s.len, 64);
    assert_memory_equal(s.s, source, 64);
    assert_null(wh_pack_source(a).s);
    wh_gguf_close(a);
    wh_gguf_close(b);
}

/* Packed with rounded weights: the same as rounding when it is opened, and not the same as exact. */
static void a_fast_file_stays_fast(void **state)
{
    (void)state;
    wh_err    err;
    wh_model *exact = open_model(golden("qwen2")), *fast, *bad;
    assert_int_equal(wh_model_open(&fast, golden("qwen2"), 0, WH_MAT_FAST, par, &err), WH_OK);
    assert_int_equal(wh_pack_write(in_folder("fast"), fast, source, false, par, &err), WH_OK);
    wh_model *packed = open_model(in_folder("fast"));
    assert_int_equal(packed->form, WH_MAT_FAST);
    check_same(fast, packed);
    assert_int_equal(wh_pack_write(in_folder("exact"), exact, source, false, par, &err), WH_OK);
    assert_int_equal(wh_model_open(&bad, in_folder("exact"), 0, WH_MAT_FAST, par, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "packed already"));
    float *a = logits(exact), *b = logits(fast);
    assert_memory_not_equal(a, b, ROWS * exact->config.vocab * sizeof *a);
    free(a);
    free(b);
    wh_model_free(exact);
    wh_model_free(fast);
    wh_model_free(packed);
}

/* The bytes of every layout. If this fails because a layout was changed on purpose: raise WH_LAYOUT_VERSION and
 * take over the new hash. Files of the old version are refused then, instead of read as the new one. */
static void layouts_are_those_of_their_version(void **state)
{
    (void)state;
    wh_buf   all = {0};
    uint64_t at = 0;
    for (int t = 0; t < WH_TYPE_COUNT; t++) {
        if (t == WH_TYPE_I8) continue;
        size_t   n = 33, k = wh_quant_table[t].block == 256 ? 512 : 9 * 32, bytes = n * wh_quant_row_bytes((wh_type)t, k);
        uint8_t *rows = malloc(bytes);
        wh_mat  *w;
        for (size_t i = 0; i < bytes; i++) rows[i] = (uint8_t)(wh_rng_u64(1, 2, at++) & 0xbf); /* an f16 is finite then */
        assert_int_equal(wh_mat_pack(&w, WH_MAT_EXACT, (wh_type)t, rows, n, k, par, NULL), WH_OK);
        wh_buf_put(&all, wh_mat_panels(w), wh_mat_bytes(w));
        wh_mat_free(w);
        if (k % 256 == 0) {
            assert_int_equal(wh_mat_pack(&w, WH_MAT_FAST, (wh_type)t, rows, n, k, par, NULL), WH_OK);
            wh_buf_put(&all, wh_mat_panels(w), wh_mat_bytes(w));
            wh_mat_free(w);
        }
        free(rows);
    }
    char hex[65];
    wh_file_sha256(hex, all.data, all.len);
    wh_buf_free(&all);
    assert_int_equal(WH_LAYOUT_VERSION, 1);
    assert_string_equal(hex, "b936c15b918b8b254db11de373240fff6667340c0335ca4c02e4b11ca34082b8");
}

/* ---- damage ------------------------------------------------------------------------------------------------ */

static void refuses(const wh_buf *file, wh_code code, const char *part)
{
    wh_model *m;
    wh_err    err = {0};
    assert_int_equal(wh_file_write(in_folder("bad"), file->data, file->len, NULL), WH_OK);
    wh_code got = wh_model_open(&m, in_folder("bad"), 0, WH_MAT_EXACT, one, &err);
    if (got != code || !strstr(err.msg, part)) fail_msg("%d instead of %d, '%s' instead of '%s'", got, code, err.msg, part);
    assert_null(m);
}

/* The packed file with the bytes `with` written `skip` bytes behind the end of the text `after`. */
static void refuses_patched(const wh_buf *file, const char *after, size_t skip, const void *with, size_t n, wh_code code, const char *part)
{
    wh_buf b = {0};
    wh_buf_put(&b, file->data, file->len);
    char *at = memmem(b.data, b.len, after, strlen(after));
    assert_non_null(at);
    memcpy(at + strlen(after) + skip, with, n);
    refuses(&b, code, part);
    wh_buf_free(&b);
}

static void refuses_damage(void **state)
{
    (void)state;
    wh_buf f;
    pack("qwen2", in_folder("plain"), false);
    read_file(&f, in_folder("plain"));
    const int32_t two = 2, odd = 999, q4_0 = 2, i8 = 24, minus = -1;
    /* A value follows its type (4 bytes); the items of an array its item type and count (12 more). */
    refuses_patched(&f, "whet.pack.version", 4, &two, 4, WH_ERR_UNSUPPORTED, "layout version 2");
    refuses_patched(&f, "whet.pack.version", 0, "\6", 1, WH_ERR_FORMAT, "whet.pack.version");
    const char *q = "whet.pack.matrix.blk.0.attn_q.weight";
    refuses_patched(&f, q, 16, &q4_0, 4, WH_ERR_FORMAT, "cannot be the");
    refuses_patched(&f, q, 16, &i8, 4, WH_ERR_UNSUPPORTED, "no kernel");
    refuses_patched(&f, q, 16, &odd, 4, WH_ERR_FORMAT, "does not hold a type, columns and rows");
    refuses_patched(&f, q, 20, &odd, 4, WH_ERR_FORMAT, "has shape");
    refuses_patched(&f, q, 24, &odd, 4, WH_ERR_FORMAT, "has shape");
    refuses_patched(&f, q, 24, &minus, 4, WH_ERR_FORMAT, "does not hold a type, columns and rows");
    refuses_patched(&f, "whet.pack.matrix.blk.0.attn_", 0, "X", 1, WH_ERR_FORMAT, "whet.pack.matrix.blk.0.attn_q.weight");
    refuses_patched(&f, "whet.pack.matrix.output.weigh", 0, "X", 1, WH_ERR_FORMAT, "whet.pack.matrix.output.weight");
    wh_buf cut = f;
    cut.len = f.len - 100;
    refuses(&cut, WH_ERR_FORMAT, "reaches beyond the end");
    wh_buf_free(&f);
}

static void borrows_only_what_fits(void **state)
{
    (void)state;
    wh_mat *w;
    wh_err  err;
    size_t  bytes = 3 * wh_layout_panel_bytes(WH_LAYOUT_k4m, 512);
    char   *p = wh_mem_alloc_aligned(bytes, 1);
    assert_int_equal(wh_mat_borrow(&w, WH_MAT_EXACT, WH_TYPE_Q4_K, p, bytes, 40, 512, &err), WH_OK);
    assert_ptr_equal(wh_mat_panels(w), p);
    assert_int_equal(wh_mat_bytes(w), bytes);
    wh_mat_free(w);
    assert_int_equal(wh_mat_borrow(&w, WH_MAT_EXACT, WH_TYPE_Q4_K, p, bytes - 64, 40, 512, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_mat_borrow(&w, WH_MAT_EXACT, WH_TYPE_Q4_K, p, bytes, 32, 512, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_mat_borrow(&w, WH_MAT_EXACT, WH_TYPE_Q4_K, p + 32, bytes, 40, 512, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_mat_borrow(&w, WH_MAT_EXACT, WH_TYPE_Q4_K, p, bytes, SIZE_MAX, 512, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_mat_borrow(&w, WH_MAT_EXACT, WH_TYPE_Q4_K, p, bytes, 40, 500, &err), WH_ERR_UNSUPPORTED);
    assert_int_equal(wh_mat_borrow(&w, WH_MAT_EXACT, WH_TYPE_I8, p, bytes, 40, 512, &err), WH_ERR_UNSUPPORTED);
    assert_null(w);
    free(p);
}

/* ---- compressed files -------------------------------------------------------------------------------------- */

/* 9 MB that zstd can shrink a little. */
static wh_buf content(void)
{
    wh_buf b = {0};
    for (uint64_t i = 0; i < 9u << 17; i++) {
        uint64_t x = wh_rng_u64(3, 4, i) & 0x3f3f3f3f3f3f3f3f;
        wh_buf_put(&b, &x, sizeof x);
    }
    return b;
}

static void compresses_and_inflates(void **state)
{
    (void)state;
    wh_buf all = content(), file;
    static const size_t sizes[][2] = {{1, 1}, {5000, 5000}, {5000, 1}, {(4 << 20) + 1, 1}, {9 << 20, 4 << 20}, {9 << 20, 5 << 20}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t    n = sizes[i][0], first = sizes[i][1];
        wh_zfile *z;
        assert_int_equal(wh_zfile_write(in_folder("zstd"), all.data, n, first, par, NULL), WH_OK);
        read_file(&file, in_folder("zstd"));
        assert_true(wh_zfile_is(file.data, file.len));
        assert_int_equal(wh_zfile_open(&z, file.data, file.len, NULL), WH_OK);
        assert_int_equal(wh_zfile_size(z), n);
        assert_int_equal(wh_zfile_ready(z), first);
        assert_memory_equal(wh_zfile_data(z), all.data, first);
        for (int twice = 0; twice < 2; twice++) assert_int_equal(wh_zfile_inflate(z, par, NULL), WH_OK);
        assert_int_equal(wh_zfile_ready(z), n);
        assert_memory_equal(wh_zfile_data(z), all.data, n);
        wh_zfile_free(z);
        wh_buf_free(&file);
    }
    assert_int_equal(wh_zfile_write(in_folder("zstd"), all.data, 10, 0, par, NULL), WH_ERR_ARG);
    assert_int_equal(wh_zfile_write(in_folder("zstd"), all.data, 10, 11, par, NULL), WH_ERR_ARG);
    assert_int_equal(wh_zfile_write("/dev/null", all.data, 10, 10, par, NULL), WH_ERR_IO);
    assert_int_equal(wh_zfile_write(in_folder("none/x"), all.data, 10, 10, par, NULL), WH_ERR_IO);
    wh_buf_free(&all);
}

/* Every byte of a small file changed, every length cut off: an error, or the same content. */
static void notices_damage(void **state)
{
    (void)state;
    wh_buf all = content(), file;
    enum { SIZE = 3000, FIRST = 1000 };
    assert_int_equal(wh_zfile_write(in_folder("zstd"), all.data, SIZE, FIRST, one, NULL), WH_OK);
    read_file(&file, in_folder("zstd"));
    size_t refused = 0;
    for (size_t i = 0; i < 2 * file.len; i++) {
        size_t         n = i < file.len ? file.len : i - file.len;
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, file.data, n);
        if (n == file.len) copy[i] ^= 0x55;
        wh_zfile *z;
        wh_err    err = {0};
        wh_code   code = wh_zfile_open(&z, copy, n, &err);
        if (code == WH_OK) {
            code = wh_zfile_inflate(z, one, &err);
            if (code == WH_OK) {
                assert_int_equal(wh_zfile_size(z), SIZE);
                assert_memory_equal(wh_zfile_data(z), all.data, SIZE);
            }
        }
        if (code != WH_OK) {
            refused++;
            assert_int_equal(code, WH_ERR_FORMAT);
            assert_true(strlen(err.msg) > 20);
        }
        wh_zfile_free(z);
        free(copy);
    }
    assert_true(refused > 2 * file.len - 100);
    wh_buf_free(&file);
    wh_buf_free(&all);
}

static void out_of_memory_is_reported(void **state)
{
    (void)state;
    pack("qwen3", in_folder("plain"), false);
    pack("qwen3", in_folder("zstd"), true);
    wh_model *m = open_model(in_folder("plain"));
    for (int what = 0; what < 3; what++) {
        bool done = false;
        for (long k = 0; !done && k < 10000; k++) {
            wh_model *other = NULL;
            wh_err    err = {0};
            wh_mem_fail_after(k);
            wh_code code = what < 2 ? wh_model_open(&other, in_folder(what ? "zstd" : "plain"), 0, WH_MAT_EXACT, one, &err)
                                    : wh_pack_write(in_folder("again"), m, source, true, one, &err);
            wh_mem_fail_after(-1);
            done = code == WH_OK;
            if (!done) {
                assert_int_equal(code, WH_ERR_NOMEM);
                assert_true(err.msg[0] != '\0');
            }
            wh_model_free(other);
        }
        assert_true(done);
    }
    wh_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_same_logits),
        cmocka_unit_test(keeps_what_the_source_says),
        cmocka_unit_test(a_fast_file_stays_fast),
        cmocka_unit_test(layouts_are_those_of_their_version),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(borrows_only_what_fits),
        cmocka_unit_test(compresses_and_inflates),
        cmocka_unit_test(notices_damage),
        cmocka_unit_test(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
