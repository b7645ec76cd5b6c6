/* config: the shape of a model, read from its file and checked. */
#ifndef WH_MODEL_CONFIG_H
#define WH_MODEL_CONFIG_H

#include "base/err.h"
#include "gguf/gguf_read.h"

typedef struct wh_arch {
    const char *name, *notes;
    bool        rope_pairs, qkv_bias, qk_norm;
} wh_arch;

typedef struct wh_config {
    const wh_arch *arch;
    size_t layers, d, heads, kv_heads, head_dim, ffn, vocab;
    size_t context;    /* tokens the model was trained for */
    float  rms_eps;
    float  rope_base;  /* theta */
    float  rope_scale; /* linear scaling: positions are divided by it; 1: none */
} wh_config;

/* WH_ERR_UNSUPPORTED: an architecture or a rope scaling Whet does not run; WH_ERR_FORMAT: a key is missing
 * or its value makes no sense. The sentence names the key. */
wh_code wh_config_read(wh_config *out, const wh_gguf *g, wh_err *err);

#endif
