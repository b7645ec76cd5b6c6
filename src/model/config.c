#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROPE_IS_rope_pairs true
#define ROPE_IS_rope_half false
static const wh_arch archs[] = {
#define WH_ARCH_X(name, rope, qkv_bias, qk_norm, notes) {#name, notes, ROPE_IS_##rope, qkv_bias, qk_norm},
#include "model/arch.def"
#undef WH_ARCH_X
};
enum { N_ARCHS = sizeof archs / sizeof archs[0] };

static wh_code find_arch(const wh_arch **out, const wh_gguf *g, wh_err *err)
{
    wh_gguf_str name;
    WH_TRY(wh_gguf_get_str(g, "general.architecture", &name, err));
    char known[128] = "";
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (strlen(archs[i].name) == name.len && memcmp(archs[i].name, name.s, name.len) == 0) {
            *out = &archs[i];
            return WH_OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", archs[i].name);
    }
    return wh_err_set(err, WH_ERR_UNSUPPORTED, "architecture '%.*s' is not one that Whet runs (%s)",
                      (int)(name.len < 40 ? name.len : 40), name.s, known);
}

/* A size under "<arch>.": within [1, most]; fallback when the key is absent, unless fallback is 0. */
static wh_code get_size(size_t *out, const wh_gguf *g, const wh_arch *arch, const char *key, size_t most,
                        size_t fallback, wh_err *err)
{
    char   name[96];
    uint64_t v;
    snprintf(name, sizeof name, "%s.%s", arch->name, key);
    if (fallback && !wh_gguf_has(g, name)) {
        *out = fallback;
        return WH_OK;
    }
    WH_TRY(wh_gguf_get_u64(g, name, &v, err));
    if (v < 1 || v > most)
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is %llu: expected 1 to %zu", name, (unsigned long long)v, most);
    *out = (size_t)v;
    return WH_OK;
}

static wh_code get_float(float *out, const wh_gguf *g, const wh_arch *arch, const char *key, float fallback, wh_err *err)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", arch->name, key);
    *out = fallback;
    if (fallback > 0 && !wh_gguf_has(g, name)) return WH_OK;
    WH_TRY(wh_gguf_get_f32(g, name, out, err));
    if (!(*out > 0) || !isfinite(*out))
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is %g: expected a positive number", name, (double)*out);
    return WH_OK;
}

static wh_code get_rope_scaling(wh_config *c, const wh_gguf *g, wh_err *err)
{
    char key[96];
    wh_gguf_str type;
    c->rope_scale = 1;
    snprintf(key, sizeof key, "%s.rope.scaling.type", c->arch->name);
    if (!wh_gguf_has(g, key)) return WH_OK;
    WH_TRY(wh_gguf_get_str(g, key, &type, err));
    if (type.len == 4 && memcmp(type.s, "none", 4) == 0) return WH_OK;
    if (type.len == 6 && memcmp(type.s, "linear", 6) == 0)
        return get_float(&c->rope_scale, g, c->arch, "rope.scaling.factor", 0, err);
    return wh_err_set(err, WH_ERR_UNSUPPORTED, "rope scaling '%.*s' (key '%s') is not supported; 'linear' and "
                      "Llama 3's rope_freqs are", (int)(type.len < 32 ? type.len : 32), type.s, key);
}

wh_code wh_config_read(wh_config *c, const wh_gguf *g, wh_err *err)
{
    enum { MOST_LAYERS = 1024, MOST_WIDTH = 1 << 20, MOST_VOCAB = 1 << 24, MOST_CONTEXT = 1 << 24 };
    *c = (wh_config){0};
    WH_TRY(find_arch(&c->arch, g, err));
    const wh_arch *a = c->arch;
    WH_TRY(get_size(&c->layers, g, a, "block_count", MOST_LAYERS, 0, err));
    WH_TRY(get_size(&c->d, g, a, "embedding_length", MOST_WIDTH, 0, err));
    WH_TRY(get_size(&c->heads, g, a, "attention.head_count", 4096, 0, err));
    WH_TRY(get_size(&c->kv_heads, g, a, "attention.head_count_kv", 4096, c->heads, err));
    WH_TRY(get_size(&c->head_dim, g, a, "attention.key_length", 1024, c->d / c->heads ? c->d / c->heads : 1, err));
    WH_TRY(get_size(&c->ffn, g, a, "feed_forward_length", MOST_WIDTH, 0, err));
    WH_TRY(get_size(&c->context, g, a, "context_length", MOST_CONTEXT, 0, err));
    WH_TRY(get_float(&c->rms_eps, g, a, "attention.layer_norm_rms_epsilon", 0, err));
    WH_TRY(get_float(&c->rope_base, g, a, "rope.freq_base", 10000, err));
    WH_TRY(get_rope_scaling(c, g, err));

    const wh_gguf_tensor *emb = wh_gguf_find_tensor(g, "token_embd.weight");
    if (!emb) return wh_err_set(err, WH_ERR_FORMAT, "tensor 'token_embd.weight' is missing");
    if (emb->dims[1] > MOST_VOCAB)
        return wh_err_set(err, WH_ERR_FORMAT, "tensor 'token_embd.weight' has %llu rows: at most %d are possible",
                          (unsigned long long)emb->dims[1], MOST_VOCAB);
    c->vocab = (size_t)emb->dims[1];

    if (c->heads % c->kv_heads != 0)
        return wh_err_set(err, WH_ERR_FORMAT, "%zu attention heads cannot share %zu key-value heads evenly", c->heads,
                          c->kv_heads);
    if (c->d % 32 != 0 || c->ffn % 32 != 0 || c->head_dim % (a->rope_pairs ? 16 : 32) != 0 ||
        c->heads * c->head_dim % 32 != 0)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "widths %zu, %zu and head size %zu are not multiples of 32", c->d,
                          c->ffn, c->head_dim);
    size_t value_dim = 0, rope_dim = 0;
    WH_TRY(get_size(&value_dim, g, a, "attention.value_length", 1024, c->head_dim, err));
    WH_TRY(get_size(&rope_dim, g, a, "rope.dimension_count", 1024, c->head_dim, err));
    if (value_dim != c->head_dim || rope_dim != c->head_dim)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "heads with %zu key, %zu value and %zu rotated dimensions are not "
                          "supported: they must be equal", c->head_dim, value_dim, rope_dim);
    /* Sliding windows: Mistral's window is as long as its context; a shorter one changes the results. */
    char key[64];
    snprintf(key, sizeof key, "%s.attention.sliding_window", a->name);
    if (wh_gguf_has(g, key)) {
        uint64_t window;
        WH_TRY(wh_gguf_get_u64(g, key, &window, err));
        if (window && window < c->context) c->context = (size_t)window;
    }
    return WH_OK;
}
