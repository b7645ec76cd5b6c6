/* tok_bpe: byte-level BPE (GPT-2, Qwen, Llama 3, SmolLM).
 *
 * A text is cut by the patterns of its pre-tokenizer (tok_pre.def) into words; the bytes of a word are
 * tokens, and neighbouring tokens merge by the rank of their pair. All of it runs on ids and raw bytes:
 * the letters that vocabularies write for bytes ("Ġ" for a space) exist only while one is loaded.
 *
 * Bytes that are not UTF-8 cut the text; a run of them is a word of its own. Bytes the vocabulary has no
 * token for give nothing (SmolLM2 lacks 21 of the 256), as in the Hugging Face tokenizers.
 */
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that print as themselves in Latin-1 stand for themselves, the other 68 for U+0100 upwards. */
static bool prints(unsigned c)
{
    return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || c >= 0xAE;
}

size_t wh_bpe_letter(char out[2], unsigned char byte)
{
    unsigned code = byte;
    if (!prints(byte)) {
        code = 0x100;
        for (unsigned c = 0; c < byte; c++) code += !prints(c);
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
}

ptrdiff_t wh_bpe_unspell(char *out, const char *s, size_t n)
{
    ptrdiff_t made = 0;
    for (size_t at = 0, len; at < n; at += len) {
        if (wh_utf8_next(&len, s + at, n - at) != WH_UTF8_OK) return -1;
        uint32_t code = wh_utf8_code(s + at, len);
        unsigned byte = code;
        if (code >= 0x100) { /* the (code - 0x100)th byte that does not print */
            unsigned skip = code - 0x100;
            for (byte = 0; byte < 256 && (prints(byte) || skip--); byte++) {}
        }
        if (byte > 255 || (code < 0x100 && !prints(byte))) return -1;
        out[made++] = (char)byte;
    }
    return made;
}

/* ---- loading ---------------------------------------------------------------------------------------- */

static const struct pre {
    const char *name, *stage[2];
    bool        ignore_merges, add_bos;
} pres[] = {
#define WH_PRE_X(name, first, second, ignore_merges, add_bos) {name, {first, second}, ignore_merges, add_bos},
#include "text/tok_pre.def"
#undef WH_PRE_X
};

static wh_code compile(pcre2_code **out, const char *pattern, wh_err *err)
{
    int        code;
    PCRE2_SIZE at;
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (!*out)
        return wh_err_set(err, WH_ERR_NOMEM, "cannot compile the pre-tokenizer pattern (PCRE2 error %d)", code);
    /* Where there is no JIT this fails and pcre2_match interprets: same matches, slower. */
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
    return WH_OK;
}

static size_t pair_slot(const wh_bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    size_t   i = (size_t)(h >> 32) & b->pair_mask;
    while (b->pairs[i].left >= 0 && (b->pairs[i].left != left || b->pairs[i].right != right))
        i = (i + 1) & b->pair_mask;
    return i;
}

/* "left right": the space that separates them is the only one, since spaces in tokens are spelled "Ġ". */
static wh_code load_merge(wh_tok *t, wh_tok_str m, size_t rank, wh_err *err)
{
    const char *space = m.n > 2 ? memchr(m.s + 1, ' ', m.n - 2) : NULL;
    if (!space || memchr(space + 1, ' ', m.n - (size_t)(space + 1 - m.s)))
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.merges[%zu] is not two tokens with a space between",
                          rank);
    size_t  n_left = (size_t)(space - m.s), n_right = m.n - n_left - 1;
    int32_t left = wh_tok_find(t, m.s, n_left), right = wh_tok_find(t, space + 1, n_right);
    char   *whole = wh_mem_alloc(m.n, 1);
    if (!whole) return wh_err_set(err, WH_ERR_NOMEM, "no memory for tokenizer.ggml.merges");
    memcpy(whole, m.s, n_left);
    memcpy(whole + n_left, space + 1, n_right);
    int32_t merged = wh_tok_find(t, whole, n_left + n_right);
    free(whole);
    if (left < 0 || right < 0 || merged < 0)
        return wh_err_set(err, WH_ERR_FORMAT,
                          "tokenizer.ggml.merges[%zu] ('%.*s') names a token that is not in tokenizer.ggml.tokens",
                          rank, (int)(m.n < 60 ? m.n : 60), m.s);
    if (t->type[left] == WH_TOK_CONTROL || t->type[right] == WH_TOK_CONTROL || t->type[merged] == WH_TOK_CONTROL)
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.merges[%zu] ('%.*s') makes a control token", rank,
                          (int)(m.n < 60 ? m.n : 60), m.s);
    size_t i = pair_slot(&t->bpe, left, right);
    if (t->bpe.pairs[i].left < 0) t->bpe.pairs[i] = (struct wh_bpe_pair){left, right, merged, (uint32_t)rank};
    return WH_OK;
}

wh_code wh_bpe_init(wh_tok *t, const wh_tok_vocab *v, wh_err *err)
{
    wh_bpe *b = &t->bpe;
    if (!v->pre)
        return wh_err_set(err, WH_ERR_FORMAT,
                          "tokenizer.ggml.pre is missing: how the text is cut into words is unknown");
    const struct pre *pre = NULL;
    for (size_t i = 0; i < sizeof pres / sizeof pres[0]; i++)
        if (!strcmp(pres[i].name, v->pre)) pre = &pres[i];
    if (!pre)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "tokenizer.ggml.pre is '%.60s', which Whet does not know",
                          v->pre);
    b->ignore_merges = pre->ignore_merges;
    if (v->add_bos < 0) t->add_bos = pre->add_bos;
    for (int i = 0; i < 2; i++)
        if (pre->stage[i]) WH_TRY(compile(&b->stage[i], pre->stage[i], err));

    for (unsigned c = 0; c < 256; c++) {
        char letter[2];
        b->byte_id[c] = wh_tok_find(t, letter, wh_bpe_letter(letter, (unsigned char)c));
        if (b->byte_id[c] >= 0 && t->type[b->byte_id[c]] == WH_TOK_CONTROL)
            return wh_err_set(err, WH_ERR_FORMAT,
                              "tokenizer.ggml.token_type[%d] makes the byte 0x%02X a control token", b->byte_id[c],
                              c);
    }
    if (!v->merges) return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.merges is missing");
    if (v->n_merges > INT32_MAX)
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.merges has too many entries");
    size_t slots = 64;
    while (slots / 4 * 3 < v->n_merges) slots *= 2;
    b->pairs = wh_mem_alloc(slots, sizeof *b->pairs);
    if (!b->pairs) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu merges", v->n_merges);
    b->pair_mask = slots - 1;
    for (size_t i = 0; i < slots; i++) b->pairs[i].left = -1;
    for (size_t i = 0; i < v->n_merges; i++) WH_TRY(load_merge(t, v->merges[i], i, err));
    return WH_OK;
}

void wh_bpe_reset(wh_bpe *b)
{
    for (int i = 0; i < 2; i++) pcre2_code_free(b->stage[i]);
    free(b->pairs);
    *b = (wh_bpe){0};
}

/* ---- encoding --------------------------------------------------------------------------------------- */

typedef struct job {
    const wh_tok        *t;
    wh_tok_ids          *ids;
    wh_merge             merge;
    pcre2_match_data    *match;
    pcre2_match_context *limits;
    wh_buf               spelled;
    wh_err              *err;
} job;

static bool find_pair(const void *ctx, wh_merge_cand *out, const wh_merge *m, int32_t left, int32_t right)
{
    const wh_bpe             *b = ctx;
    const struct wh_bpe_pair *p = &b->pairs[pair_slot(b, m->sym[left].id, m->sym[right].id)];
    out->key = p->rank;
    out->merged = p->merged;
    return p->left >= 0;
}

static wh_code whole_word(job *j, int32_t *id, const char *s, size_t n)
{
    wh_buf_clear(&j->spelled);
    for (size_t i = 0; i < n; i++) {
        char letter[2];
        wh_buf_put(&j->spelled, letter, wh_bpe_letter(letter, (unsigned char)s[i]));
    }
    if (!wh_buf_ok(&j->spelled))
        return wh_err_set(j->err, WH_ERR_NOMEM, "no memory to spell a word of %zu bytes", n);
    *id = wh_tok_find(j->t, j->spelled.data, j->spelled.len);
    if (*id >= 0 && j->t->type[*id] != WH_TOK_NORMAL) *id = -1;
    return WH_OK;
}

static wh_code encode_word(job *j, const char *s, size_t n)
{
    const wh_bpe *b = &j->t->bpe;
    if (b->ignore_merges) {
        int32_t id = -1;
        WH_TRY(whole_word(j, &id, s, n));
        if (id >= 0) return wh_tok_ids_push(j->ids, id, j->err);
    }
    WH_TRY(wh_merge_reset(&j->merge, n, j->err));
    for (size_t i = 0; i < n; i++) {
        int32_t id = b->byte_id[(unsigned char)s[i]];
        if (id >= 0) wh_merge_add(&j->merge, id, i);
    }
    if (!j->merge.n_sym) return WH_OK;
    WH_TRY(wh_merge_run(&j->merge, find_pair, b, j->err));
    for (int32_t i = 0; i >= 0; i = j->merge.sym[i].next)
        WH_TRY(wh_tok_ids_push(j->ids, j->merge.sym[i].id, j->err));
    return WH_OK;
}

/* Matches and the gaps between them go to the next stage, each as a text of its own. */
static wh_code split(job *j, int stage, const char *s, size_t n)
{
    if (!n) return WH_OK;
    if (stage == 2 || !j->t->bpe.stage[stage]) return encode_word(j, s, n);
    size_t at = 0;
    while (at < n) {
        int rc = pcre2_match(j->t->bpe.stage[stage], (PCRE2_SPTR)s, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY,
                             j->match, j->limits);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc < 0)
            return wh_err_set(j->err, WH_ERR_NOMEM, "cannot cut a text of %zu bytes into words (PCRE2 error %d)",
                              n, rc);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(j->match);
        size_t            from = span[0], to = span[1];
        WH_TRY(split(j, stage + 1, s + at, from - at));
        WH_TRY(split(j, stage + 1, s + from, to - from));
        at = to;
    }
    return split(j, stage + 1, s + at, n - at);
}

wh_code wh_bpe_encode(const wh_tok *t, wh_tok_ids *ids, const char *text, size_t n, wh_err *err)
{
    job     j = {.t = t,
                 .ids = ids,
                 .err = err,
                 .match = pcre2_match_data_create(1, NULL),
                 .limits = pcre2_match_context_create(NULL)};
    wh_code code = WH_OK;
    if (!j.match || !j.limits) {
        code = wh_err_set(err, WH_ERR_NOMEM, "no memory for the pre-tokenizer");
    } else {
        /* The patterns take linear time on every text; the default limits would refuse long runs of spaces. */
        pcre2_set_match_limit(j.limits, UINT32_MAX);
        pcre2_set_depth_limit(j.limits, UINT32_MAX);
    }
    for (size_t at = 0; code == WH_OK && at < n;) {
        size_t good = wh_utf8_span(text + at, n - at), bad = at + good, len;
        code = split(&j, 0, text + at, good);
        while (bad < n && wh_utf8_next(&len, text + bad, n - bad) != WH_UTF8_OK) bad += len;
        if (code == WH_OK && bad > at + good) code = encode_word(&j, text + at + good, bad - at - good);
        at = bad;
    }
    wh_buf_free(&j.spelled);
    wh_merge_free(&j.merge);
    pcre2_match_data_free(j.match);
    pcre2_match_context_free(j.limits);
    return code;
}
