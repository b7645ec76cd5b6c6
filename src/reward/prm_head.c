/* prm_head: a head of our own on the hidden states of any model that solves problems, the policy itself too.
 *
 *   {solving prompt of the model's chat format}{step 1}\n\n{step 2}\n\n ...     read at the end of each blank line,
 *                                                                            or just before it
 * That is what a policy writes, so a head on the policy reads the policy's own tokens (wh_prm_attach), and what it
 * was fitted on can be rendered from texts.
 */
#include "base/file.h"
#include "model/pack.h"
#include "reward/prm_impl.h"

#include <string.h>

static const char blank_line[] = "\n\n";

static wh_code render(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, wh_err *err)
{
    WH_TRY(wh_chat_encode_problem(in->chat, ids, in->question, (wh_tok_str){"", 0}, err));
    for (size_t i = 0; i < in->n_steps; i++) {
        wh_buf step = {0};
        wh_buf_put(&step, in->steps[i].s, in->steps[i].n);
        wh_buf_puts(&step, blank_line);
        wh_code code = wh_buf_ok(&step) ? wh_prm_put(in, ids, (wh_tok_str){step.data, step.len}, WH_TOK_NO_PREFIX, err)
                                        : wh_err_set(err, WH_ERR_NOMEM, "no memory for step %zu", i + 1);
        wh_buf_free(&step);
        WH_TRY(code);
        positions[i] = ids->len - 1 - in->before;
    }
    return WH_OK;
}

/* Walks over a policy's tokens. */
typedef struct scan {
    size_t breaks;  /* line breaks since anything else */
    bool   written; /* the step has more than white space */
} scan;

/* How many steps does this token complete? */
static size_t scan_token(scan *s, const wh_tok *tok, int32_t token)
{
    size_t ended = 0;
    wh_tok_str piece = wh_tok_piece(tok, token);
    for (size_t k = 0; k < piece.n; k++) {
        char c = piece.s[k];
        if (c != '\n') {
            s->breaks = 0;
            s->written |= !(c == ' ' || (c >= '\t' && c <= '\r'));
        } else if (++s->breaks == 2) {
            ended += s->written;
            *s = (scan){0};
        }
    }
    return ended;
}

wh_code wh_prm_head_find_steps(size_t *n_found, size_t *positions, size_t n_steps, wh_tok_ids *ids, size_t n_prompt,
                               bool before, const wh_tok *tok, wh_err *err)
{
    size_t found = 0, n = ids->len;
    scan s = {0};
    for (size_t i = n_prompt; i < n; i++)
        for (size_t ended = scan_token(&s, tok, ids->data[i]); ended; ended--)
            if (found++ < n_steps) positions[found - 1] = i - before;
    if (s.written) { /* the model ended its turn without a blank line */
        if (!before) WH_TRY(wh_tok_encode(tok, ids, blank_line, sizeof blank_line - 1, WH_TOK_NO_PREFIX, err));
        if (found++ < n_steps) positions[found - 1] = ids->len - 1;
    }
    *n_found = found;
    return WH_OK;
}

bool wh_prm_head_reads(const int32_t *tokens, size_t n, size_t n_prompt, int32_t next, bool before, const wh_tok *tok)
{
    int32_t last = before ? next : tokens[n - 1];
    bool end = before && wh_tok_is_end(tok, next);
    wh_tok_str piece = wh_tok_piece(tok, last);
    if (!end && !memchr(piece.s, '\n', piece.n)) return false; /* most tokens */
    scan s = {0};
    size_t ended = 0;
    for (size_t i = n_prompt; i < n; i++) ended = scan_token(&s, tok, tokens[i]);
    if (end) return s.written;
    if (before) ended = scan_token(&s, tok, next);
    return ended > 0 && (before || n > n_prompt);
}

static bool str_is(wh_gguf_str s, const char *what) { return s.len == strlen(what) && memcmp(s.s, what, s.len) == 0; }

/* One number, or an array of them. */
static wh_code read_layers(wh_prm_head_use *out, const wh_gguf *g, size_t layers, wh_err *err)
{
    static const char name[] = "whet.head.layer";
    const wh_gguf_key *key = wh_gguf_find_key(g, name), *array = NULL;
    if (key && key->type == WH_GGUF_ARRAY) WH_TRY(wh_gguf_get_i32_array(g, name, &array, err));
    else WH_TRY(wh_gguf_get_u32(g, name, out->layers, err));
    out->n_layers = array ? (size_t)array->count : 1;
    if (!out->n_layers || out->n_layers > WH_PRM_HEAD_LAYERS)
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' names %zu layers: 1 to %d are possible", name, out->n_layers, WH_PRM_HEAD_LAYERS);
    for (size_t i = 0; i < out->n_layers; i++) {
        if (array) {
            int32_t layer = wh_gguf_i32_at(array, i);
            out->layers[i] = layer > 0 ? (uint32_t)layer : 0;
        }
        if (!out->layers[i] || out->layers[i] > layers || (i && out->layers[i] <= out->layers[i - 1]))
            return wh_err_set(err, WH_ERR_UNSUPPORTED, "the head reads layer %u of a model with %zu: expected ascending layers from 1 to %zu",
                              out->layers[i], layers, layers);
    }
    return WH_OK;
}

wh_code wh_prm_head_depth(size_t *out, const char *path, wh_err *err)
{
    wh_gguf *g;
    WH_TRY(wh_gguf_open(&g, path, err));
    wh_prm_head_use use;
    wh_code code = read_layers(&use, g, UINT32_MAX, err);
    wh_gguf_close(g);
    if (code != WH_OK) return wh_err_wrap(err, "%s", path);
    *out = use.layers[use.n_layers - 1];
    return WH_OK;
}

/* Is it a head for that, and where does it look? */
static wh_code read_kind(wh_prm_head_use *out, const wh_gguf *g, wh_prm_head_kind kind, wh_err *err)
{
    wh_gguf_str said = {0}, step;
    if (wh_gguf_has(g, "whet.head.kind")) WH_TRY(wh_gguf_get_str(g, "whet.head.kind", &said, err));
    bool prompt = said.s && str_is(said, "difficulty");
    if (prompt && kind == WH_PRM_HEAD_OF_STEPS)
        return wh_err_set(err, WH_ERR_ARG, "it is a head that judges problems (kind difficulty), not steps of solutions");
    if (!prompt && kind == WH_PRM_HEAD_OF_PROMPT)
        return wh_err_set(err, WH_ERR_ARG, "it is no head that judges problems (kind difficulty)");
    WH_TRY(wh_gguf_get_str(g, "whet.head.step", &step, err));
    out->before = str_is(step, "before_blank_line");
    if (prompt && !str_is(step, "prompt"))
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "the head looks at '%.*s': Whet knows prompt", (int)(step.len < 32 ? step.len : 32), step.s);
    if (!prompt && !out->before && !str_is(step, "blank_line"))
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "the head reads steps by the rule '%.*s': Whet knows blank_line and before_blank_line",
                          (int)(step.len < 32 ? step.len : 32), step.s);
    return WH_OK;
}

wh_code wh_prm_head_check(wh_prm_head_use *out, const wh_gguf *g, wh_prm_head_kind kind, const char *trunk_path, const wh_model *trunk,
                          wh_err *err)
{
    wh_gguf_str sha256;
    WH_TRY(wh_gguf_get_str(g, "whet.head.trunk_sha256", &sha256, err));
    WH_TRY(read_kind(out, g, kind, err));
    char hex[65] = "";
    wh_gguf_str source = wh_pack_source(trunk->gguf);
    if (source.s) {
        memcpy(hex, source.s, source.len < 64 ? source.len : 64);
    } else {
        wh_map file;
        WH_TRY(wh_file_map(&file, trunk_path, err));
        wh_file_sha256(hex, file.data, file.size);
        wh_file_unmap(&file);
    }
    if (!str_is(sha256, hex))
        return wh_err_set(err, WH_ERR_ARG, "the head was fitted on another model than %s (sha256 %.12s..., expected %.*s...)", trunk_path,
                          hex, (int)(sha256.len < 12 ? sha256.len : 12), sha256.s);
    return read_layers(out, g, trunk->config.layers, err);
}

const wh_prm_kind wh_prm_head = {
    .about = {"head", "a head file on its trunk, which may be the policy", "whet.head.* keys, see prm.h"},
    .chat = true,
    .head_layers = WH_PRM_HEAD_ANY,
    .render = render,
    .score = wh_prm_of_head,
};
