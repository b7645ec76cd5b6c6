#include "app/load.h"

#include "app/manifest.h"
#include "app/out.h"
#include "base/file.h"
#include "model/pack.h"
#include "text/tok_gguf.h"

#include <ctype.h>
#include <string.h>

const wh_opt wh_load_options[WH_LOAD_OPTIONS] = {
    WH_OPT_CPU_MASK(wh_load_opts),
    WH_OPT_FLAG(wh_load_opts, fast, "fast", "round the weights to int8: faster for many tokens at once, not quite the same results"),
    WH_OPT_MEMORY(wh_load_opts),
    WH_OPT_STRING(wh_load_opts, policy, "policy", "MODEL", NULL, "name, alias or path of a model (default: the one of `whet pull`)"),
    WH_OPT_THREADS(wh_load_opts),
};

wh_code wh_load_name(wh_buf *out, const char *reference, const char *path, wh_err *err)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    wh_manifest m;
    WH_TRY(wh_manifest_load(&m, err));
    const wh_entry *e = NULL;
    (void)wh_manifest_find(&e, &m, reference, NULL);
    for (size_t i = 0; !e && i < m.n; i++)
        if (strcmp(m.entries[i].file, file) == 0) e = &m.entries[i];
    wh_buf_puts(out, e ? e->name : file);
    wh_manifest_free(&m);
    return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a name");
}

wh_code wh_load_sha256(char hex[65], const char *path, wh_err *err)
{
    wh_map map;
    WH_TRY(wh_file_map(&map, path, err));
    wh_file_sha256(hex, map.data, map.size);
    wh_file_unmap(&map);
    return WH_OK;
}

bool wh_load_is_packed(const wh_gguf *g) { return wh_pack_source(g).s != NULL; }

wh_code wh_load_identity(char hex[65], const char *path, wh_err *err)
{
    wh_gguf *g;
    WH_TRY(wh_gguf_open(&g, path, err));
    wh_gguf_str source = wh_pack_source(g);
    wh_code code = WH_OK;
    if (source.s && source.len == 64) {
        memcpy(hex, source.s, 64);
        hex[64] = '\0';
    } else if (source.s) {
        code = wh_err_set(err, WH_ERR_FORMAT, "%s does not say what it was packed from", path);
    }
    wh_gguf_close(g);
    return code == WH_OK && !source.s ? wh_load_sha256(hex, path, err) : code;
}

wh_code wh_load_layers(uint32_t out[WH_OPT_INTS_MAX], size_t *n, const wh_opt_ints *asked, size_t blocks, const char *model, wh_err *err)
{
    *n = asked->n ? asked->n : 1;
    out[0] = (uint32_t)blocks;
    for (size_t i = 0; i < asked->n; i++) {
        if ((size_t)asked->v[i] > blocks || (i && asked->v[i] <= asked->v[i - 1]))
            return wh_err_set(err, WH_ERR_ARG, "--layers wants ascending numbers from 1 to %zu, the blocks of %s", blocks, model);
        out[i] = (uint32_t)asked->v[i];
    }
    return WH_OK;
}

wh_code wh_load_tok(wh_tok **out, const char *reference, wh_err *err)
{
    *out = NULL;
    wh_buf path = {0};
    wh_gguf *gguf = NULL;
    wh_code code = wh_manifest_resolve(&path, reference, err);
    if (code == WH_OK) code = wh_gguf_open(&gguf, wh_buf_str(&path), err);
    if (code == WH_OK && (code = wh_tok_gguf_create(out, gguf, err)) != WH_OK) wh_err_wrap(err, "%s", wh_buf_str(&path));
    wh_gguf_close(gguf);
    wh_buf_free(&path);
    return code;
}

wh_mat_form wh_load_form(const wh_load_opts *o) { return o->fast ? WH_MAT_FAST : WH_MAT_EXACT; }

wh_code wh_load_isa(wh_isa *out, const char *mask, wh_err *err)
{
    *out = 0;
    if (!mask) return WH_OK;
    WH_TRY(wh_cpu_parse_mask(out, mask, err));
    *out &= wh_cpu_detect();
    return WH_OK;
}

wh_code wh_load_model(wh_loaded *l, const wh_load_opts *o, wh_err *err)
{
    wh_isa allowed;
    WH_TRY(wh_load_isa(&allowed, o->cpu_mask, err));
    WH_TRY(wh_manifest_resolve(&l->path, o->policy, err));
    const char *path = wh_buf_str(&l->path);
    WH_TRY(wh_load_name(&l->name, o->policy, path, err));
    WH_TRY(wh_par_create(&l->par, (int)o->threads, err));
    wh_out_progress("loading %s", wh_buf_str(&l->name));
    wh_code code = wh_model_open(&l->model, path, allowed, wh_load_form(o), l->par, err);
    wh_out_progress("%s", "");
    WH_TRY(code);
    if (wh_tok_gguf_create(&l->tok, l->model->gguf, err) != WH_OK) return wh_err_wrap(err, "%s", path);
    code = wh_tok_gguf_create_chat(&l->chat, l->model->gguf, l->tok, err);
    if (code == WH_OK || code == WH_ERR_UNSUPPORTED) return WH_OK; /* no format: see wh_loaded */
    return wh_err_wrap(err, "%s", path);
}

wh_code wh_load_engine(wh_loaded *l, const wh_load_opts *o, size_t tokens, size_t rows, size_t paths, size_t chunk, wh_err *err)
{
    size_t most = l->model->config.context;
    const wh_engine_opts opts = {.memory = o->memory, .max_rows = rows, .paths = paths, .chunk = chunk, .context = tokens < most ? tokens : most};
    return wh_engine_create(&l->engine, l->model, l->tok, l->par, &opts, err);
}

wh_code wh_load_trunk(wh_loaded *l, const wh_load_opts *o, size_t tokens, size_t rows, size_t layers, wh_err *err)
{
    enum { CHUNK = 512 };
    size_t most = l->model->config.context, blocks = l->model->config.layers;
    const wh_engine_opts opts = {.memory = o->memory, .max_rows = rows, .chunk = CHUNK, .context = tokens < most ? tokens : most,
                                 .layers = layers < blocks ? layers : blocks};
    return wh_engine_create(&l->engine, l->model, l->tok, l->par, &opts, err);
}

wh_code wh_load_prompt(const wh_loaded *l, wh_tok_ids *ids, const char *problem, size_t n, wh_err *err)
{
    while (n && isspace((unsigned char)problem[n - 1])) n--;
    while (n && isspace((unsigned char)*problem)) problem++, n--;
    if (n == 0) return wh_err_set(err, WH_ERR_ARG, "the problem is empty");
    if (!l->chat)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s has no chat format that Whet knows; `whet run --raw` can still use it",
                          wh_buf_str(&l->name));
    WH_TRY(wh_chat_encode_problem(l->chat, ids, (wh_tok_str){problem, n}, (wh_tok_str){"", 0}, err));
    if (ids->len >= l->model->config.context)
        return wh_err_set(err, WH_ERR_BUDGET, "the problem has %zu tokens; the model's context is %zu", ids->len, l->model->config.context);
    return WH_OK;
}

void wh_load_free(wh_loaded *l)
{
    wh_engine_free(l->engine);
    wh_chat_free(l->chat);
    wh_tok_free(l->tok);
    wh_model_free(l->model);
    wh_par_free(l->par);
    wh_buf_free(&l->path);
    wh_buf_free(&l->name);
    *l = (wh_loaded){0};
}
