#include "model/kv.h"

#include "base/mem.h"

#include <string.h>
#include <sys/mman.h>

size_t wh_kv_open_bytes(const wh_config *c)
{
    return c->layers * c->kv_heads * 2 * WH_KV_BLOCK * c->head_dim * sizeof(uint16_t);
}

size_t wh_kv_closed_bytes(const wh_config *c)
{
    size_t one = 2 * WH_KV_BLOCK * c->head_dim + (c->head_dim + WH_KV_BLOCK) * sizeof(float);
    return c->layers * c->kv_heads * ((one + 63) / 64 * 64);
}

static void *reserve(size_t n, size_t size)
{
    size_t bytes;
    if (!wh_mem_mul(&bytes, n, size) || !bytes) return NULL;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
}

wh_code wh_kv_create(wh_kv *out, const wh_config *c, size_t n_open, size_t n_closed, wh_err *err)
{
    *out = (wh_kv){.layers = c->layers, .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                   .n_open = n_open, .n_closed = n_closed,
                   .open_bytes = wh_kv_open_bytes(c), .closed_bytes = wh_kv_closed_bytes(c)};
    out->open = reserve(n_open, out->open_bytes);
    out->closed = reserve(n_closed, out->closed_bytes);
    if (out->open && out->closed) return WH_OK;
    wh_kv_free(out);
    return wh_err_set(err, WH_ERR_NOMEM, "no memory for a KV cache of %zu + %zu blocks", n_open, n_closed);
}

void wh_kv_free(wh_kv *kv)
{
    if (kv->open) munmap(kv->open, kv->n_open * kv->open_bytes);
    if (kv->closed) munmap(kv->closed, kv->n_closed * kv->closed_bytes);
    *kv = (wh_kv){0};
}

void wh_kv_copy(wh_kv *kv, size_t to, size_t from, size_t n)
{
    for (size_t layer = 0; layer < kv->layers; layer++)
        for (size_t h = 0; h < kv->kv_heads; h++) {
            const uint16_t *sk = wh_kv_open_keys(kv, from, layer, h);
            uint16_t *dk = wh_kv_open_keys(kv, to, layer, h);
            for (size_t i = 0; i < kv->head_dim; i++)
                memcpy(dk + i * WH_KV_BLOCK, sk + i * WH_KV_BLOCK, n * sizeof *dk);
            memcpy(wh_kv_open_values(kv, to, layer, h), wh_kv_open_values(kv, from, layer, h),
                   n * kv->head_dim * sizeof *dk);
        }
}
