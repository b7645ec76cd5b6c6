/* kv: storage for keys and values, in blocks of WH_KV_BLOCK tokens.
 *
 * A block is open while it fills and closed when it is full. Open blocks hold f16. Closed ones hold int8:
 * keys with one scale per channel (Qwen's projections have biases that make a few channels of K huge and
 * almost constant; a scale per token would drown the others in rounding), values with one scale per token.
 * The reads follow from positions alone: a query attends to the block it stands in as f16, to every earlier
 * block as int8. So it does not matter whether tokens came one by one or in chunks.
 *
 * Layouts, for each layer and key-value head of a block, hd = head_dim:
 *   open    K transposed (hd, 64) f16; V (64, hd) f16
 *   closed  K (hd/4, 64, 4) u8 = value + 128; V (16, hd, 4) s8, four tokens together;
 *           K scales (hd) f32; V scales (64) f32: the atoms of CONTRACT.md, keys or channels in lanes
 * Which block belongs to whom is the engine's business (engine/cache.h).
 */
#ifndef WH_MODEL_KV_H
#define WH_MODEL_KV_H

#include "kern/ops.h"
#include "model/config.h"

typedef struct wh_kv {
    size_t layers, kv_heads, head_dim;
    size_t n_open, n_closed;
    size_t open_bytes, closed_bytes; /* one block */
    char  *open, *closed;
} wh_kv;

/* Bytes of one block of this model. */
size_t  wh_kv_open_bytes(const wh_config *c);
size_t  wh_kv_closed_bytes(const wh_config *c);
/* The memory is reserved, and taken from the system as blocks are first written. */
wh_code wh_kv_create(wh_kv *out, const wh_config *c, size_t n_open, size_t n_closed, wh_err *err);
void    wh_kv_free(wh_kv *kv);

static inline uint16_t *wh_kv_open_keys(const wh_kv *kv, size_t block, size_t layer, size_t head)
{
    size_t one = kv->open_bytes / (kv->layers * kv->kv_heads);
    return (uint16_t *)(void *)(kv->open + block * kv->open_bytes + (layer * kv->kv_heads + head) * one);
}
static inline uint16_t *wh_kv_open_values(const wh_kv *kv, size_t block, size_t layer, size_t head)
{
    return wh_kv_open_keys(kv, block, layer, head) + WH_KV_BLOCK * kv->head_dim;
}
static inline wh_kv8 wh_kv_closed(const wh_kv *kv, size_t block, size_t layer, size_t head)
{
    size_t one = kv->closed_bytes / (kv->layers * kv->kv_heads), half = WH_KV_BLOCK * kv->head_dim;
    char *p = kv->closed + block * kv->closed_bytes + (layer * kv->kv_heads + head) * one;
    float *scales = (float *)(void *)(p + 2 * half);
    return (wh_kv8){(uint8_t *)p, (int8_t *)p + half, scales, scales + kv->head_dim};
}

/* Copy the first n tokens of an open block to another (copy on write). */
void wh_kv_copy(wh_kv *kv, size_t to, size_t from, size_t n);

#endif
