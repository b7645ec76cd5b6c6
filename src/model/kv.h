/* kv: storage for keys and values, in blocks of WH_KV_BLOCK tokens.
 *
 * A block holds all layers of its tokens. Within a block, for each layer and key-value head: K transposed,
 * (head_dim, WH_KV_BLOCK) f16, then V, (WH_KV_BLOCK, head_dim) f16: the order attention reads them in
 * (kern/ops.h). Which block belongs to whom is the engine's business (engine/cache.h).
 */
#ifndef WH_MODEL_KV_H
#define WH_MODEL_KV_H

#include "kern/ops.h"
#include "model/config.h"

typedef struct wh_kv {
    size_t    layers, kv_heads, head_dim;
    size_t    block_bytes; /* one block */
    size_t    n_blocks;
    uint16_t *data;
} wh_kv;

/* Bytes of one block of this model. */
size_t  wh_kv_block_bytes(const wh_config *c);
/* The memory is reserved, and taken from the system as blocks are first written. */
wh_code wh_kv_create(wh_kv *out, const wh_config *c, size_t n_blocks, wh_err *err);
void    wh_kv_free(wh_kv *kv);

static inline uint16_t *wh_kv_keys(const wh_kv *kv, size_t block, size_t layer, size_t head)
{
    size_t one = WH_KV_BLOCK * kv->head_dim;
    return kv->data + (((block * kv->layers + layer) * kv->kv_heads + head) * 2) * one;
}
static inline uint16_t *wh_kv_values(const wh_kv *kv, size_t block, size_t layer, size_t head)
{
    return wh_kv_keys(kv, block, layer, head) + WH_KV_BLOCK * kv->head_dim;
}

/* Copy the first n tokens of a block to another (copy on write). */
void wh_kv_copy(wh_kv *kv, size_t to, size_t from, size_t n);

#endif
