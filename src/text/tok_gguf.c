#include "text/tok_gguf.h"

#include "base/mem.h"

#include <stdlib.h>

/* What wh_tok_vocab points to while the tokenizer is made. */
struct arrays {
    char       *model, *pre;
    wh_tok_str *tokens, *merges;
    int32_t    *types;
    float      *scores;
};

static wh_code read_text(const wh_gguf *g, const char *key, char **own, const char **out, wh_err *err)
{
    wh_gguf_str s;
    if (!wh_gguf_has(g, key)) return WH_OK;
    WH_TRY(wh_gguf_get_str(g, key, &s, err));
    *out = *own = wh_mem_strndup(s.s, s.len);
    return *own ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for %s", key);
}

static wh_code read_strings(const wh_gguf *g, const char *key, wh_tok_str **own, const wh_tok_str **out, size_t *n,
                            wh_err *err)
{
    const wh_gguf_key *array;
    if (!wh_gguf_has(g, key)) return WH_OK;
    WH_TRY(wh_gguf_get_str_array(g, key, &array, err));
    *out = *own = wh_mem_alloc(array->count, sizeof **own);
    if (!*own) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %s", key);
    for (*n = 0; *n < array->count; (*n)++) {
        wh_gguf_str s = wh_gguf_str_at(array, *n);
        (*own)[*n] = (wh_tok_str){s.s, s.len};
    }
    return WH_OK;
}

static wh_code read_types(const wh_gguf *g, struct arrays *a, wh_tok_vocab *v, wh_err *err)
{
    static const char  key[] = "tokenizer.ggml.token_type";
    const wh_gguf_key *array;
    if (!wh_gguf_has(g, key)) return WH_OK;
    WH_TRY(wh_gguf_get_i32_array(g, key, &array, err));
    v->types = a->types = wh_mem_alloc(array->count, sizeof *a->types);
    if (!a->types) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %s", key);
    v->n_types = array->count;
    for (size_t i = 0; i < array->count; i++) a->types[i] = wh_gguf_i32_at(array, i);
    return WH_OK;
}

static wh_code read_scores(const wh_gguf *g, struct arrays *a, wh_tok_vocab *v, wh_err *err)
{
    static const char  key[] = "tokenizer.ggml.scores";
    const wh_gguf_key *array;
    if (!wh_gguf_has(g, key)) return WH_OK;
    WH_TRY(wh_gguf_get_f32_array(g, key, &array, err));
    v->scores = a->scores = wh_mem_alloc(array->count, sizeof *a->scores);
    if (!a->scores) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %s", key);
    v->n_scores = array->count;
    for (size_t i = 0; i < array->count; i++) a->scores[i] = wh_gguf_f32_at(array, i);
    return WH_OK;
}

static wh_code read_id(const wh_gguf *g, const char *key, int64_t *out, wh_err *err)
{
    uint32_t id;
    if (!wh_gguf_has(g, key)) return WH_OK;
    WH_TRY(wh_gguf_get_u32(g, key, &id, err));
    *out = id;
    return WH_OK;
}

static wh_code read_flag(const wh_gguf *g, const char *key, int *out, wh_err *err)
{
    bool flag;
    if (!wh_gguf_has(g, key)) return WH_OK;
    WH_TRY(wh_gguf_get_bool(g, key, &flag, err));
    *out = flag;
    return WH_OK;
}

static wh_code read_vocab(const wh_gguf *g, struct arrays *a, wh_tok_vocab *v, wh_err *err)
{
    WH_TRY(read_text(g, "tokenizer.ggml.model", &a->model, &v->model, err));
    WH_TRY(read_text(g, "tokenizer.ggml.pre", &a->pre, &v->pre, err));
    WH_TRY(read_strings(g, "tokenizer.ggml.tokens", &a->tokens, &v->tokens, &v->n_tokens, err));
    WH_TRY(read_strings(g, "tokenizer.ggml.merges", &a->merges, &v->merges, &v->n_merges, err));
    WH_TRY(read_types(g, a, v, err));
    WH_TRY(read_scores(g, a, v, err));
    WH_TRY(read_id(g, "tokenizer.ggml.bos_token_id", &v->bos, err));
    WH_TRY(read_id(g, "tokenizer.ggml.eos_token_id", &v->eos, err));
    WH_TRY(read_id(g, "tokenizer.ggml.eot_token_id", &v->eot, err));
    WH_TRY(read_id(g, "tokenizer.ggml.unknown_token_id", &v->unk, err));
    WH_TRY(read_flag(g, "tokenizer.ggml.add_bos_token", &v->add_bos, err));
    WH_TRY(read_flag(g, "tokenizer.ggml.add_eos_token", &v->add_eos, err));
    return read_flag(g, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, err);
}

wh_code wh_tok_gguf_create(wh_tok **out, const wh_gguf *g, wh_err *err)
{
    struct arrays a = {0};
    wh_tok_vocab  v;
    wh_tok_vocab_init(&v);
    *out = NULL;
    wh_code code = read_vocab(g, &a, &v, err);
    if (code == WH_OK) code = wh_tok_create(out, &v, err);
    free(a.model);
    free(a.pre);
    free(a.tokens);
    free(a.merges);
    free(a.types);
    free(a.scores);
    return code;
}

wh_code wh_tok_gguf_create_chat(wh_chat **out, const wh_gguf *g, const wh_tok *tok, wh_err *err)
{
    static const char key[] = "tokenizer.chat_template";
    wh_gguf_str       template_ = {NULL, 0};
    *out = NULL;
    if (wh_gguf_has(g, key)) WH_TRY(wh_gguf_get_str(g, key, &template_, err));
    return wh_chat_create(out, tok, template_.s, template_.len, err);
}
