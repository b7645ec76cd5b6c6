#include "quant/quant.h"

#include "quant/format.h"

#include <assert.h>
#include <limits.h>

const wh_quant_info wh_quant_table[WH_TYPE_COUNT] = {
#define WH_QUANT_X(NAME, file, id, block, bytes, kind, bits, offset, has_min)                                  \
    [WH_TYPE_##NAME] = {#NAME, id, block, bytes, WH_QUANT_##kind, bits, offset, has_min},
#include "quant/quant.def"
};

static const wh_quant_ops *const ops[WH_TYPE_COUNT] = {
#define WH_QUANT_X(NAME, file, id, block, bytes, kind, bits, offset, has_min)                                  \
    [WH_TYPE_##NAME] = &wh_quant_ops_##file,
#include "quant/quant.def"
};

bool wh_quant_from_gguf_id(wh_type *out, uint32_t id)
{
    for (int t = 0; t < WH_TYPE_COUNT; t++) {
        if (wh_quant_table[t].gguf_id != id) continue;
        *out = (wh_type)t;
        return true;
    }
    return false;
}

const char *wh_quant_gguf_name(uint32_t id)
{
    switch (id) {
#define WH_QUANT_X(NAME, file, number, block, bytes, kind, bits, offset, has_min)                              \
    case number: return #NAME;
#define WH_QUANT_FOREIGN_X(NAME, number)                                                                       \
    case number: return #NAME;
#include "quant/quant.def"
    default: return NULL;
    }
}

size_t wh_quant_row_bytes(wh_type type, size_t n)
{
    const wh_quant_info *f = &wh_quant_table[type];
    if (n % f->block != 0 || n / f->block > SIZE_MAX / f->block_bytes) return 0;
    return n / f->block * f->block_bytes;
}

void wh_quant_unpack_row(wh_type type, uint8_t *q, float *d, float *m, int8_t *sc, uint8_t *mn, const void *in,
                         size_t n)
{
    assert(wh_quant_table[type].kind != WH_QUANT_FLOAT && n % wh_quant_table[type].block == 0);
    wh_quant_parts out = {q, d, m, sc, mn};
    ops[type]->unpack(&out, in, n / wh_quant_table[type].block);
}

/* y[i] = scale (q[i] - offset) + add, or without the addition: adding zero would turn -0 into +0. */
static void combine(float *restrict y, const uint8_t *restrict q, int n, float scale, int offset, bool has_min,
                    float add)
{
    if (has_min)
        for (int i = 0; i < n; i++) y[i] = scale * (float)q[i] + add;
    else
        for (int i = 0; i < n; i++) y[i] = scale * (float)(q[i] - offset);
}

void wh_quant_dequantize_row(wh_type type, float *out, const void *in, size_t n)
{
    const wh_quant_info *f = &wh_quant_table[type];
    assert(n % f->block == 0);
    if (f->kind == WH_QUANT_FLOAT) {
        ops[type]->widen(out, in, n);
        return;
    }
    uint8_t q[256], mn[16];
    int8_t sc[16];
    float d, m;
    int group = f->kind == WH_QUANT_K16 ? 16 : 32;
    for (const uint8_t *p = in; n; p += f->block_bytes, n -= f->block, out += f->block) {
        ops[type]->unpack(&(wh_quant_parts){q, &d, &m, sc, mn}, p, 1);
        if (f->kind == WH_QUANT_LEGACY32) {
            combine(out, q, 32, d, f->offset, f->has_min, m);
            continue;
        }
        for (int i = 0; i < 256 / group; i++)   /* x + -(y) is x - y to the bit */
            combine(out + i * group, q + i * group, group, d * (float)sc[i], f->offset, f->has_min,
                    -(m * (float)mn[i]));
    }
}

bool wh_quant_can_quantize(wh_type type) { return ops[type]->quantize != NULL; }

void wh_quant_quantize_row(wh_type type, void *out, const float *in, size_t n)
{
    assert(wh_quant_can_quantize(type) && n % wh_quant_table[type].block == 0);
    ops[type]->quantize(out, in, n / wh_quant_table[type].block);
}
