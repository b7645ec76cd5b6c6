/* Fuzz what opens packed and compressed files: whatever the bytes, either a sentence, or matrices whose panels lie
 * inside the content and can be multiplied by. */
#include "base/mem.h"
#include "base/zfile.h"
#include "model/pack.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

static void multiply(const wh_mat *w)
{
    static const wh_kern *kern;
    if (!kern) kern = wh_kern_select(wh_cpu_detect());
    wh_act x;
    size_t n = wh_mat_rows(w), k = wh_mat_cols(w);
    if (wh_act_create(&x, 1, k, (unsigned)wh_mat_way(w), NULL) != WH_OK) return;
    float *y = malloc(n * sizeof *y);
    void  *scratch = wh_mem_alloc_aligned(wh_mat_scratch(w), 1);
    CHECK(y && scratch);
    for (size_t i = 0; i < k; i++) x.f[i] = (float)(i % 7) - 3;
    wh_act_quantize(kern, &x, 0, 1, (unsigned)wh_mat_way(w));
    wh_mat_mul(kern, w, y, n, &x, 0, 1, 0, n, scratch);
    wh_act_free(&x);
    free(scratch);
    free(y);
}

static void check_file(const wh_gguf *g, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < wh_gguf_tensor_count(g); i++) {
        const wh_gguf_tensor *t = wh_gguf_tensor_at(g, i);
        wh_gguf_tensor u = wh_pack_unpacked(g, t);
        CHECK(u.data == t->data && u.bytes == t->bytes);
        wh_mat *w;
        wh_err  err = {0};
        wh_code code = wh_pack_find(&w, g, t->name, u.dims[1], u.dims[0], &err);
        if (code != WH_OK) {
            CHECK(!w && strlen(err.msg) > 10);
            continue;
        }
        const uint8_t *panels = wh_mat_panels(w);
        CHECK(panels >= data && wh_mat_bytes(w) <= size && (size_t)(panels - data) <= size - wh_mat_bytes(w));
        multiply(w);
        wh_mat_free(w);
    }
}

static void check_gguf(const uint8_t *data, size_t size)
{
    wh_gguf *g;
    bool     packed;
    if (wh_gguf_open_memory(&g, data, size, NULL) != WH_OK) return;
    if (wh_pack_recognise(&packed, g, NULL) == WH_OK && packed) check_file(g, data, size);
    wh_gguf_close(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Where panels lie in memory decides whether they are aligned. */
    if (!wh_zfile_is(data, size)) {
        uint8_t *copy = wh_mem_alloc_aligned(size, 1);
        CHECK(copy);
        memcpy(copy, data, size);
        check_gguf(copy, size);
        free(copy);
        return 0;
    }
    wh_zfile *z;
    wh_par   *par;
    wh_err    err = {0};
    CHECK(wh_par_create(&par, 1, NULL) == WH_OK);
    wh_code code = wh_zfile_open(&z, data, size, &err);
    if (code == WH_OK) code = wh_zfile_inflate(z, par, &err);
    CHECK(code == WH_OK || strlen(err.msg) > 10);
    if (code == WH_OK) check_gguf(wh_zfile_data(z), wh_zfile_size(z));
    wh_zfile_free(z);
    wh_par_free(par);
    return 0;
}
