/* tok_spm: SentencePiece BPE (Llama 2, Mistral, TinyLlama).
 *
 * Spaces become U+2581 and one is put in front of a text (add_space_prefix); then the characters merge:
 * two neighbours whose bytes together spell a token may merge, the token with the highest score first,
 * among equals the leftmost. A character that is no token and merged with nothing becomes its bytes
 * ("<0xE2>"), or the unknown token where the vocabulary has no byte tokens.
 *
 * Only tokens that text may become take part (normal and unused ones): "<s>" in a text never merges into
 * the control token. Source: sentencepiece bpe_model.cc; scores are -rank for BPE models.
 */
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char space_mark[] = "\xE2\x96\x81";

static int32_t find_text_token(const wh_tok *t, const char *s, size_t n)
{
    if (n > t->spm.longest) return -1;
    int32_t id = wh_tok_find(t, s, n);
    return id >= 0 && (t->type[id] == WH_TOK_NORMAL || t->type[id] == WH_TOK_UNUSED) ? id : -1;
}

wh_code wh_spm_init(wh_tok *t, const wh_tok_vocab *v, wh_err *err)
{
    wh_spm *p = &t->spm;
    p->add_space_prefix = v->add_space_prefix != 0;
    if (v->add_bos < 0) t->add_bos = true;
    if (!v->scores) return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.scores is missing");
    if (v->n_scores != t->n)
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.scores has %zu entries, tokenizer.ggml.tokens %zu",
                          v->n_scores, t->n);
    p->score = wh_mem_alloc(t->n, sizeof *p->score);
    if (!p->score) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu scores", t->n);
    for (size_t i = 0; i < t->n; i++) {
        if (!isfinite(v->scores[i]))
            return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.scores[%zu] is not a number", i);
        p->score[i] = v->scores[i];
        size_t len = wh_tok_spelling_of(t, i).n;
        if ((t->type[i] == WH_TOK_NORMAL || t->type[i] == WH_TOK_UNUSED) && len > p->longest) p->longest = len;
    }
    for (int c = 0; c < 256; c++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", c);
        int32_t id = wh_tok_find(t, name, 6);
        if (id < 0 || t->type[id] != WH_TOK_BYTE) id = t->unk;
        if (id < 0)
            return wh_err_set(err, WH_ERR_FORMAT,
                              "tokenizer.ggml.tokens has neither the byte token %s nor an unknown token", name);
        p->byte_id[c] = id;
    }
    return WH_OK;
}

struct text {
    const wh_tok *t;
    const char   *s;
    size_t        n;
};

/* Scores are compared as floats, highest first: flip the bits so that the order of integers is theirs. */
static uint64_t score_key(float score)
{
    uint32_t u;
    score += 0.0f; /* -0 is 0 */
    memcpy(&u, &score, sizeof u);
    u = u >> 31 ? ~u : u | 0x80000000u;
    return UINT32_MAX - u;
}

static bool find_join(const void *ctx, wh_merge_cand *out, const wh_merge *m, int32_t left, int32_t right)
{
    const struct text *x = ctx;
    size_t             from = (size_t)m->sym[left].from;
    size_t             to = m->sym[right].next < 0 ? x->n : (size_t)m->sym[m->sym[right].next].from;
    out->merged = find_text_token(x->t, x->s + from, to - from);
    if (out->merged < 0) return false;
    out->key = score_key(x->t->spm.score[out->merged]);
    return true;
}

static wh_code emit(const wh_tok *t, wh_tok_ids *ids, const wh_merge_sym *sym, const char *s, size_t n,
                    wh_err *err)
{
    if (sym->id >= 0) return wh_tok_ids_push(ids, sym->id, err);
    for (size_t i = 0; i < n; i++) {
        WH_TRY(wh_tok_ids_push(ids, t->spm.byte_id[(unsigned char)s[i]], err));
        if (t->spm.byte_id[(unsigned char)s[i]] == t->unk) break; /* one unknown token for the character */
    }
    return WH_OK;
}

static wh_code encode_marked(const wh_tok *t, wh_tok_ids *ids, wh_merge *m, const char *s, size_t n, wh_err *err)
{
    struct text x = {t, s, n};
    WH_TRY(wh_merge_reset(m, n, err));
    for (size_t at = 0, len; at < n; at += len) {
        if (wh_utf8_next(&len, s + at, n - at) != WH_UTF8_OK) len = 1;
        wh_merge_add(m, find_text_token(t, s + at, len), at);
    }
    WH_TRY(wh_merge_run(m, find_join, &x, err));
    for (int32_t i = 0, next; i >= 0; i = next) {
        next = m->sym[i].next;
        size_t from = (size_t)m->sym[i].from, to = next < 0 ? n : (size_t)m->sym[next].from;
        WH_TRY(emit(t, ids, &m->sym[i], s + from, to - from, err));
    }
    return WH_OK;
}

wh_code wh_spm_encode(const wh_tok *t, wh_tok_ids *ids, const char *text, size_t n, bool prefix, wh_err *err)
{
    wh_buf marked = {0};
    if (prefix && t->spm.add_space_prefix) wh_buf_puts(&marked, space_mark);
    for (size_t at = 0; at < n;) {
        const char *space = memchr(text + at, ' ', n - at);
        size_t      end = space ? (size_t)(space - text) : n;
        wh_buf_put(&marked, text + at, end - at);
        if (space) wh_buf_puts(&marked, space_mark);
        at = end + (space != NULL);
    }
    wh_merge m = {0};
    wh_code  code = WH_OK;
    if (!wh_buf_ok(&marked)) code = wh_err_set(err, WH_ERR_NOMEM, "no memory to tokenize %zu bytes", n);
    if (code == WH_OK && marked.len >= INT32_MAX)
        code = wh_err_set(err, WH_ERR_ARG, "a text of %zu bytes is too long to tokenize", n);
    if (code == WH_OK && marked.len) code = encode_marked(t, ids, &m, marked.data, marked.len, err);
    wh_merge_free(&m);
    wh_buf_free(&marked);
    return code;
}
