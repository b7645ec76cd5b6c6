/* prm_open: from files to a reward model: its kind, its own model or the policy's, its head, its calibration. */
#include "base/mem.h"
#include "reward/prm_impl.h"
#include "text/tok_gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const wh_prm_kind *const kinds[] = {
#define WH_PRM_X(name) &wh_prm_##name,
#include "reward/prm.def"
#undef WH_PRM_X
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static const char key_kind[] = "whet.prm.kind", key_slope[] = "whet.prm.calibration.slope", key_offset[] = "whet.prm.calibration.offset",
                  key_fails[] = "whet.prm.calibration.fails", key_holds[] = "whet.prm.calibration.holds",
                  key_omits[] = "whet.prm.calibration.omits";

/* ---- kinds ------------------------------------------------------------------------------------------------ */

const wh_prm_about *wh_prm_get_about(size_t i) { return i < N_KINDS ? &kinds[i]->about : NULL; }

static const wh_prm_kind *find_kind(const char *name, size_t n)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (strlen(kinds[i]->about.name) == n && memcmp(kinds[i]->about.name, name, n) == 0) return kinds[i];
    return NULL;
}

/* "math-shepherd, rlhflow-mistral, ..." */
static const char *all_kinds(char buf[128])
{
    size_t at = 0;
    for (size_t i = 0; i < N_KINDS && at < 128; i++)
        at += (size_t)snprintf(buf + at, 128 - at, "%s%s", i ? ", " : "", kinds[i]->about.name);
    return buf;
}

static wh_code need_kind(const wh_prm_kind **out, const char *name, size_t n, wh_err *err)
{
    char known[128];
    *out = find_kind(name, n);
    return *out ? WH_OK
                : wh_err_set(err, WH_ERR_UNSUPPORTED, "'%.*s' is no kind of PRM that Whet knows: %s", (int)(n < 32 ? n : 32), name,
                             all_kinds(known));
}

/* What the file says it is; NULL: nothing. */
static wh_code kind_of_file(const wh_prm_kind **out, const wh_gguf *g, wh_err *err)
{
    wh_gguf_str name;
    *out = NULL;
    if (!wh_gguf_has(g, key_kind)) return WH_OK;
    WH_TRY(wh_gguf_get_str(g, key_kind, &name, err));
    return need_kind(out, name.s, name.len, err) == WH_OK ? WH_OK : wh_err_wrap(err, "key '%s'", key_kind);
}

/* How to use g, which was opened as a PRM with these options. */
static wh_code choose_kind(const wh_prm_kind **out, const wh_gguf *g, const wh_prm_opts *o, wh_err *err)
{
    const wh_prm_kind *file = NULL, *asked = NULL;
    char known[128];
    if (o->kind) WH_TRY(need_kind(&asked, o->kind, strlen(o->kind), err));
    if (o->head && asked && asked != &wh_prm_head)
        return wh_err_set(err, WH_ERR_ARG, "a head file makes a PRM of kind head, not %s", o->kind);
    if (o->head) asked = &wh_prm_head;
    WH_TRY(kind_of_file(&file, g, err));
    if (file == &wh_prm_head)
        return wh_err_set(err, WH_ERR_ARG, "it is a head file: it needs a model as its trunk");
    if (asked == &wh_prm_head && !o->head) return wh_err_set(err, WH_ERR_ARG, "a PRM of kind head needs a head file");
    if (file && asked && file != asked && asked != &wh_prm_head)
        return wh_err_set(err, WH_ERR_ARG, "it is a PRM of kind %s, not %s", file->about.name, o->kind);
    *out = asked ? asked : file;
    return *out ? WH_OK
                : wh_err_set(err, WH_ERR_ARG, "it does not say that it is a PRM (key '%s'), so its kind must be named: %s", key_kind,
                             all_kinds(known));
}

void wh_prm_describe(wh_buf *out, const wh_gguf *g)
{
    const wh_prm_kind *kind = NULL;
    wh_err why;
    if (kind_of_file(&kind, g, &why) != WH_OK) wh_buf_puts(out, why.msg);
    if (!kind) return;
    wh_buf_puts(out, kind->about.name);
    if (wh_gguf_has(g, key_slope)) wh_buf_puts(out, ", calibrated");
    if (wh_gguf_has(g, key_fails)) wh_buf_puts(out, ", checks arithmetic");
    if (wh_gguf_has(g, key_omits)) wh_buf_puts(out, ", looks for the problem's numbers");
    if (!kind->head_layers) return;
    size_t before = out->len;
    wh_buf_puts(out, ", head ");
    size_t shapes = out->len;
    wh_prm_mlp_describe(out, g);
    if (out->len == shapes && out->len > before) wh_buf_puts(out, "missing");
}

/* ---- life ------------------------------------------------------------------------------------------------- */

/* The token that text is; -1 when there is no text. */
static wh_code find_token(int32_t *out, const wh_prm *p, const char *text, wh_err *err)
{
    wh_tok_ids ids = {0};
    *out = -1;
    if (!text) return WH_OK;
    wh_code code = wh_tok_encode(p->tok, &ids, text, strlen(text), WH_TOK_SPECIAL, err);
    if (code == WH_OK && ids.len != 1)
        code = wh_err_set(err, WH_ERR_FORMAT, "'%s' is %zu tokens of the vocabulary: a PRM of kind %s needs it to be one",
                          text[0] == '\n' ? "\\n" : text, ids.len, p->kind->about.name);
    if (code == WH_OK) *out = ids.data[0];
    wh_tok_ids_free(&ids);
    return code;
}

/* Two keys, both or none: then both stay as they are. */
static wh_code read_two(double *a, double *b, const wh_gguf *g, const char *key_a, const char *key_b, wh_err *err)
{
    float x, y;
    if (!wh_gguf_has(g, key_a) && !wh_gguf_has(g, key_b)) return WH_OK;
    WH_TRY(wh_gguf_get_f32(g, key_a, &x, err));
    WH_TRY(wh_gguf_get_f32(g, key_b, &y, err));
    *a = (double)x;
    *b = (double)y;
    return WH_OK;
}

static wh_code check_calibration(const wh_prm_calibration *c, wh_code code, wh_err *err)
{
    if (!(c->slope > 0) || !isfinite(c->slope) || !isfinite(c->offset))
        return wh_err_set(err, code, "a calibration by slope %g and offset %g: a slope above 0 is needed", c->slope, c->offset);
    if (!isfinite(c->fails) || !isfinite(c->holds))
        return wh_err_set(err, code, "a calibration by arithmetic of %g and %g: two numbers are needed", c->fails, c->holds);
    if (!isfinite(c->omits)) return wh_err_set(err, code, "a calibration by numbers that are left out of %g: a number is needed", c->omits);
    return WH_OK;
}

static wh_code read_calibration(wh_prm *p, const wh_gguf *g, wh_err *err)
{
    wh_prm_calibration *c = &p->calibration;
    WH_TRY(read_two(&c->slope, &c->offset, g, key_slope, key_offset, err));
    WH_TRY(read_two(&c->fails, &c->holds, g, key_fails, key_holds, err));
    float omits = 0;
    if (wh_gguf_has(g, key_omits)) WH_TRY(wh_gguf_get_f32(g, key_omits, &omits, err));
    c->omits = (double)omits;
    return check_calibration(c, WH_ERR_FORMAT, err);
}

static wh_code read_head(wh_prm *p, const wh_gguf *g, wh_par *par, wh_err *err)
{
    const wh_prm_kind *k = p->kind;
    WH_TRY(read_calibration(p, g, err));
    if (!k->head_layers) return WH_OK;
    WH_TRY(wh_prm_mlp_read(&p->head, g, p->use.n_layers * p->model->config.d, p->model->kern, par, err));
    size_t layers = wh_prm_mlp_layers(p->head), outputs = wh_prm_mlp_outputs(p->head);
    if (k->head_layers != WH_PRM_HEAD_ANY && (layers != k->head_layers || outputs != k->head_outputs))
        return wh_err_set(err, WH_ERR_FORMAT, "the head has %zu layers and %zu outputs: a PRM of kind %s has %zu and %zu", layers, outputs,
                          k->about.name, k->head_layers, k->head_outputs);
    return WH_OK;
}

static wh_code read_head_file(wh_prm *p, const char *path, const char *trunk_path, wh_par *par, wh_err *err)
{
    const wh_prm_kind *kind;
    wh_gguf *g;
    WH_TRY(wh_gguf_open(&g, path, err));
    wh_code code = kind_of_file(&kind, g, err);
    if (code == WH_OK && kind != &wh_prm_head && !wh_gguf_has(g, "whet.head.kind")) code = wh_err_set(err, WH_ERR_ARG, "key '%s' does not say head", key_kind);
    if (code == WH_OK) code = wh_prm_head_check(&p->use, g, WH_PRM_HEAD_OF_STEPS, trunk_path, p->model, err);
    if (code == WH_OK) code = wh_gguf_inflate(g, par, err);
    if (code == WH_OK) code = read_head(p, g, par, err);
    if (code != WH_OK) wh_err_wrap(err, "%s", path);
    wh_gguf_close(g);
    return code;
}

/* What depends on the kind, once model, tokenizer and chat format are there. */
static wh_code set_up(wh_prm *p, const char *head, const char *path, wh_par *par, wh_err *err)
{
    const wh_prm_kind *k = p->kind;
    p->calibration = (wh_prm_calibration){.slope = 1};
    p->use = (wh_prm_head_use){.layers = {(uint32_t)p->model->config.layers}, .n_layers = 1}; /* unless a head file says more */
    if (k->chat && !p->chat)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "it has no chat format that Whet knows: a PRM of kind %s needs one", k->about.name);
    WH_TRY(find_token(&p->marker, p, k->marker, err));
    WH_TRY(find_token(&p->good, p, k->good, err));
    WH_TRY(find_token(&p->bad, p, k->bad, err));
    if (k->good && p->good == p->bad)
        return wh_err_set(err, WH_ERR_FORMAT, "'%s' and '%s' are the same token", k->good, k->bad);
    return head ? read_head_file(p, head, path, par, err) : read_head(p, p->model->gguf, par, err);
}

/* The kind of a file, before anything large is read from it. */
static wh_code look_at(const wh_prm_kind **kind, const char *path, const wh_prm_opts *o, wh_err *err)
{
    wh_gguf *g;
    WH_TRY(wh_gguf_open(&g, path, err)); /* says the path itself */
    wh_code code = choose_kind(kind, g, o, err);
    if (code != WH_OK) wh_err_wrap(err, "%s", path);
    wh_gguf_close(g);
    return code;
}

static wh_code open_parts(wh_prm *p, const char *path, const wh_prm_opts *o, wh_par *par, wh_err *err)
{
    WH_TRY(wh_model_open(&p->own_model, path, o->isa, o->form, par, err)); /* says the path itself */
    p->model = p->own_model;
    wh_code code = wh_tok_gguf_create(&p->own_tok, p->own_model->gguf, err);
    p->tok = p->own_tok;
    if (code == WH_OK && p->kind->chat) {
        code = wh_tok_gguf_create_chat(&p->own_chat, p->own_model->gguf, p->own_tok, err);
        if (code == WH_ERR_UNSUPPORTED) code = WH_OK;
        p->chat = p->own_chat;
    }
    return code == WH_OK ? WH_OK : wh_err_wrap(err, "%s", path);
}

static void set_cost(wh_prm *p)
{
    p->cost = *wh_engine_cost(p->engine);
    p->cost.head = p->head ? wh_prm_mlp_flops(p->head) : 2 * (p->cost.head / p->model->config.vocab);
}

/* Model, tokenizer and chat format are there; the engine, if it is not the policy's, is made. */
static wh_code finish(wh_prm *p, const char *path, const wh_prm_opts *o, wh_par *par, wh_err *err)
{
    if (o->calibration) WH_TRY(check_calibration(o->calibration, WH_ERR_ARG, err));
    WH_TRY(set_up(p, o->head, path, par, err));
    if (o->calibration) p->calibration = *o->calibration;
    if (!p->engine) {
        wh_engine_opts e = o->engine;
        size_t most = p->model->config.context;
        if (!e.context) e.context = most < WH_PRM_CONTEXT ? most : WH_PRM_CONTEXT;
        if (p->head) e.layers = p->use.layers[p->use.n_layers - 1]; /* nobody asks for what is above */
        WH_TRY(wh_engine_create(&p->own_engine, p->model, p->tok, par, &e, err));
        p->engine = p->own_engine;
    }
    set_cost(p);
    return WH_OK;
}

static wh_code create(wh_prm **out, const wh_prm_kind *kind, wh_err *err)
{
    wh_prm *p = *out = wh_mem_zalloc(1, sizeof *p);
    if (!p) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a PRM");
    p->kind = kind;
    return WH_OK;
}

/* Give out a PRM, or free it when something went wrong. */
static wh_code give_out(wh_prm **out, wh_prm *p, wh_code code)
{
    if (code == WH_OK) *out = p;
    else wh_prm_free(p);
    return code;
}

wh_code wh_prm_open(wh_prm **out, const char *path, const wh_prm_opts *opts, wh_par *par, wh_err *err)
{
    const wh_prm_kind *kind = NULL;
    wh_prm *p;
    *out = NULL;
    WH_TRY(look_at(&kind, path, opts, err));
    WH_TRY(create(&p, kind, err));
    wh_code code = open_parts(p, path, opts, par, err);
    if (code == WH_OK && (code = finish(p, path, opts, par, err)) != WH_OK) wh_err_wrap(err, "%s", path);
    return give_out(out, p, code);
}

wh_code wh_prm_attach(wh_prm **out, const wh_prm_policy *policy, const wh_prm_opts *opts, wh_par *par, wh_err *err)
{
    const wh_prm_kind *kind = &wh_prm_head;
    wh_prm *p;
    *out = NULL;
    if (policy->engine && !opts->head)
        return wh_err_set(err, WH_ERR_ARG, "only a head can share the policy's pass, and no head file was given");
    if (!policy->engine && choose_kind(&kind, policy->model->gguf, opts, err) != WH_OK) return wh_err_wrap(err, "%s", policy->path);
    WH_TRY(create(&p, kind, err));
    p->model = policy->model;
    p->tok = policy->tok;
    p->chat = policy->chat;
    p->engine = policy->engine;
    p->probe = (wh_probe){.layers = p->use.layers, .look = wh_prm_look, .ctx = p};
    wh_code code = finish(p, policy->path, opts, par, err);
    if (code != WH_OK && !policy->engine) wh_err_wrap(err, "%s", policy->path);
    p->probe.n_layers = p->use.n_layers;
    p->probe.flops = p->cost.head;
    return give_out(out, p, code);
}
