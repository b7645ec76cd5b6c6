#include "model/kv.h"

#include "base/mem.h"

#include <string.h>
#include <sys/mman.h>

size_t wh_kv_block_bytes(const wh_config *c)
{
    return c->layers * c->kv_heads * 2 * WH_KV_BLOCK * c->head_dim * sizeof(uint16_t);
}

wh_code wh_kv_create(wh_kv *out, const wh_config *c, size_t n_blocks, wh_err *err)
{
    size_t bytes;
    *out = (wh_kv){.layers = c->layers,
                   .kv_heads = c->kv_heads,
                   .head_dim = c->head_dim,
                   .block_bytes = wh_kv_block_bytes(c),
                   .n_blocks = n_blocks};
    if (!wh_mem_mul(&bytes, n_blocks, out->block_bytes) || !bytes)
        return wh_err_set(err, WH_ERR_NOMEM, "a KV cache of %zu blocks is too large", n_blocks);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a KV cache of %zu MiB", bytes >> 20);
#ifdef MADV_HUGEPAGE
    (void)madvise(p, bytes, MADV_HUGEPAGE);
#endif
    out->data = p;
    return WH_OK;
}

void wh_kv_free(wh_kv *kv)
{
    if (kv->data) munmap(kv->data, kv->n_blocks * kv->block_bytes);
    *kv = (wh_kv){0};
}

void wh_kv_copy(wh_kv *kv, size_t to, size_t from, size_t n)
{
    for (size_t layer = 0; layer < kv->layers; layer++)
        for (size_t h = 0; h < kv->kv_heads; h++) {
            const uint16_t *sk = wh_kv_keys(kv, from, layer, h);
            uint16_t *dk = wh_kv_keys(kv, to, layer, h);
            for (size_t i = 0; i < kv->head_dim; i++)
                memcpy(dk + i * WH_KV_BLOCK, sk + i * WH_KV_BLOCK, n * sizeof *dk);
            memcpy(wh_kv_values(kv, to, layer, h), wh_kv_values(kv, from, layer, h), n * kv->head_dim * sizeof *dk);
        }
}
