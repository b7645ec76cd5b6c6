/* tok: loading a vocabulary, finding marked tokens in a text, decoding. What is between two marked tokens
 * goes to tok_bpe.c or tok_spm.c.
 */
#include "text/tok.h"

#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists ------------------------------------------------------------------------------------------ */

wh_code wh_tok_ids_push(wh_tok_ids *ids, int32_t id, wh_err *err)
{
    if (ids->len == ids->cap) {
        size_t cap = ids->cap ? 2 * ids->cap : 64;
        void  *data = wh_mem_resize(ids->data, cap, sizeof *ids->data);
        if (!data) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu token ids", cap);
        ids->data = data;
        ids->cap = cap;
    }
    ids->data[ids->len++] = id;
    return WH_OK;
}

void wh_tok_ids_free(wh_tok_ids *ids)
{
    free(ids->data);
    *ids = (wh_tok_ids){0};
}

/* ---- finding tokens by spelling ---------------------------------------------------------------------- */

static size_t table_slot(const wh_tok *t, const char *s, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a, then mixed so that the low bits see all of it */
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 0x100000001B3u;
    h = (h ^ h >> 32) * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h >> 32) & t->table_mask;
    for (; t->table[i]; i = (i + 1) & t->table_mask) {
        wh_tok_str have = wh_tok_spelling_of(t, t->table[i] - 1);
        if (have.n == n && !memcmp(have.s, s, n)) break;
    }
    return i;
}

int32_t wh_tok_find(const wh_tok *t, const char *spelling, size_t n)
{
    return n ? (int32_t)t->table[table_slot(t, spelling, n)] - 1 : -1;
}

/* ---- loading ---------------------------------------------------------------------------------------- */

void wh_tok_vocab_init(wh_tok_vocab *v)
{
    *v = (wh_tok_vocab){
        .bos = -1, .eos = -1, .eot = -1, .unk = -1, .add_bos = -1, .add_eos = -1, .add_space_prefix = -1};
}

static wh_code load_spellings(wh_tok *t, const wh_tok_vocab *v, wh_err *err)
{
    size_t total = 0, slots = 64;
    for (size_t i = 0; i < t->n; i++)
        if (!wh_mem_add(&total, total, v->tokens[i].n) || total > UINT32_MAX)
            return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.tokens has more than 4 GiB of text");
    while (slots / 2 < t->n) slots *= 2;
    t->text = wh_mem_alloc(total + 1, 1);
    t->spell_at = wh_mem_alloc(t->n + 1, sizeof *t->spell_at);
    t->table = wh_mem_zalloc(slots, sizeof *t->table);
    if (!t->text || !t->spell_at || !t->table)
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a vocabulary of %zu tokens", t->n);
    t->table_mask = slots - 1;
    t->spell_at[0] = 0;
    for (size_t i = 0; i < t->n; i++) {
        wh_tok_str s = v->tokens[i];
        if (s.n && memchr(s.s, 0, s.n))
            return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.tokens[%zu] contains a NUL byte", i);
        if (wh_utf8_span(s.s, s.n) != s.n)
            return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.tokens[%zu] is not valid UTF-8", i);
        if (s.n) memcpy(t->text + t->spell_at[i], s.s, s.n);
        t->spell_at[i + 1] = t->spell_at[i] + (uint32_t)s.n;
        if (!s.n) continue; /* some files pad with empty tokens: they have an id and nothing else */
        size_t slot = table_slot(t, s.s, s.n);
        if (t->table[slot])
            return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.tokens[%zu] repeats token %u ('%.*s')", i,
                              t->table[slot] - 1, (int)(s.n < 60 ? s.n : 60), s.s);
        t->table[slot] = (uint32_t)i + 1;
    }
    return WH_OK;
}

static bool has_affix(wh_tok_str s, const char *front, const char *back)
{
    size_t f = strlen(front), b = strlen(back);
    return s.n > f + b && !memcmp(s.s, front, f) && !memcmp(s.s + s.n - b, back, b);
}

/* Whatever the file says, <|...|> is the notation of control tokens (DeepSeek writes the bars U+FF5C). */
static bool looks_like_control(wh_tok_str s)
{
    return has_affix(s, "<|", "|>") || has_affix(s, "<\xEF\xBD\x9C", "\xEF\xBD\x9C>");
}

static wh_code load_types(wh_tok *t, const wh_tok_vocab *v, wh_err *err)
{
    assert(t->text); /* load_spellings came before */
    if (v->types && v->n_types != t->n)
        return wh_err_set(err, WH_ERR_FORMAT,
                          "tokenizer.ggml.token_type has %zu entries, tokenizer.ggml.tokens %zu", v->n_types,
                          t->n);
    t->type = wh_mem_alloc(t->n, 1);
    if (!t->type) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu token types", t->n);
    for (size_t i = 0; i < t->n; i++) {
        int32_t type = v->types ? v->types[i] : WH_TOK_NORMAL;
        if (type < 0 || type > WH_TOK_BYTE)
            return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.token_type[%zu] is %d; it must be 0 to 6", i,
                              type);
        if (type == 0) type = WH_TOK_UNUSED; /* "undefined" in the file: never made from text */
        if (type == WH_TOK_USER_DEFINED && looks_like_control(wh_tok_spelling_of(t, i))) type = WH_TOK_CONTROL;
        t->type[i] = (uint8_t)type;
    }
    return WH_OK;
}

/* The bytes a token stands for, n spelling bytes or fewer; out has room for them. */
static size_t make_piece(const wh_tok *t, size_t id, char *out)
{
    wh_tok_str s = wh_tok_spelling_of(t, id);
    if (t->kind == WH_TOK_BPE && t->type[id] == WH_TOK_NORMAL) {
        ptrdiff_t n = wh_bpe_unspell(out, s.s, s.n);
        if (n >= 0) return (size_t)n;
    }
    if (t->kind == WH_TOK_SPM && t->type[id] == WH_TOK_BYTE && s.n == 6 && has_affix(s, "<0x", ">")) {
        char hex[3] = {s.s[3], s.s[4], 0};
        *out = (char)strtol(hex, NULL, 16);
        return 1;
    }
    if (t->kind == WH_TOK_SPM && (t->type[id] == WH_TOK_NORMAL || t->type[id] == WH_TOK_UNUSED)) {
        size_t made = 0;
        for (size_t i = 0; i < s.n;) {
            bool mark = s.n - i >= 3 && !memcmp(s.s + i, "\xE2\x96\x81", 3);
            out[made++] = mark ? ' ' : s.s[i];
            i += mark ? 3 : 1;
        }
        return made;
    }
    if (s.n) memcpy(out, s.s, s.n);
    return s.n;
}

static wh_code load_pieces(wh_tok *t, wh_err *err)
{
    t->bytes = wh_mem_alloc((size_t)t->spell_at[t->n] + 1, 1);
    t->piece_at = wh_mem_alloc(t->n + 1, sizeof *t->piece_at);
    if (!t->bytes || !t->piece_at)
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a vocabulary of %zu tokens", t->n);
    t->piece_at[0] = 0;
    for (size_t i = 0; i < t->n; i++)
        t->piece_at[i + 1] = t->piece_at[i] + (uint32_t)make_piece(t, i, t->bytes + t->piece_at[i]);
    return WH_OK;
}

static wh_code load_id(int32_t *out, const wh_tok *t, int64_t id, const char *key, wh_err *err)
{
    if (id >= (int64_t)t->n)
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.%s is %lld, but there are only %zu tokens", key,
                          (long long)id, t->n);
    *out = id < 0 ? -1 : (int32_t)id;
    return WH_OK;
}

static wh_code add_end(wh_tok *t, int32_t id, wh_err *err)
{
    if (id < 0 || wh_tok_is_end(t, id)) return WH_OK;
    int32_t *ends = wh_mem_resize(t->ends, t->n_ends + 1, sizeof *ends);
    if (!ends) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the end tokens");
    ends[t->n_ends] = id;
    t->ends = ends;
    t->n_ends++;
    return WH_OK;
}

static wh_code load_ends(wh_tok *t, int32_t eot, wh_err *err)
{
    static const char *const names[] = {
#define WH_END_X(spelling, who) spelling,
#include "text/tok_end.def"
#undef WH_END_X
    };
    WH_TRY(add_end(t, t->eos, err));
    WH_TRY(add_end(t, eot, err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int32_t id = wh_tok_find(t, names[i], strlen(names[i]));
        /* Qwen has an ordinary token "</s>", which text merges into: that one ends nothing. */
        if (id < 0 || (t->type[id] == WH_TOK_NORMAL && !looks_like_control(wh_tok_spelling_of(t, (size_t)id))))
            continue;
        t->type[id] = WH_TOK_CONTROL;
        WH_TRY(add_end(t, id, err));
    }
    return WH_OK;
}

static int compare_spelling(const void *a, const void *b, void *ctx)
{
    const wh_tok *t = ctx;
    wh_tok_str    x = wh_tok_spelling_of(t, (size_t) * (const int32_t *)a);
    wh_tok_str    y = wh_tok_spelling_of(t, (size_t) * (const int32_t *)b);
    int           c = memcmp(x.s, y.s, x.n < y.n ? x.n : y.n);
    return c ? c : (x.n > y.n) - (x.n < y.n);
}

static bool is_marked(const wh_tok *t, size_t id)
{
    return (t->type[id] == WH_TOK_CONTROL || t->type[id] == WH_TOK_UNKNOWN ||
            t->type[id] == WH_TOK_USER_DEFINED) &&
           wh_tok_spelling_of(t, id).n;
}

static wh_code load_marked(wh_tok *t, wh_err *err)
{
    for (size_t i = 0; i < t->n; i++) t->n_marked += is_marked(t, i);
    t->marked = wh_mem_alloc(t->n_marked, sizeof *t->marked);
    if (!t->marked) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu control tokens", t->n_marked);
    for (size_t i = 0, at = 0; i < t->n; i++)
        if (is_marked(t, i)) t->marked[at++] = (int32_t)i;
    if (t->n_marked) qsort_r(t->marked, t->n_marked, sizeof *t->marked, compare_spelling, t);
    for (size_t i = 0; i < t->n_marked; i++)
        t->marked_at[(unsigned char)wh_tok_spelling_of(t, (size_t)t->marked[i]).s[0] + 1]++;
    for (int c = 0; c < 256; c++) t->marked_at[c + 1] += t->marked_at[c];
    return WH_OK;
}

static wh_code load(wh_tok *t, const wh_tok_vocab *v, wh_err *err)
{
    if (!v->model) return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.model is missing");
    if (!strcmp(v->model, "gpt2")) {
        t->kind = WH_TOK_BPE;
    } else if (!strcmp(v->model, "llama")) {
        t->kind = WH_TOK_SPM;
    } else {
        return wh_err_set(err, WH_ERR_UNSUPPORTED,
                          "tokenizer.ggml.model is '%.60s'; Whet knows 'gpt2' and 'llama'", v->model);
    }
    if (!v->tokens || !v->n_tokens)
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.tokens is missing or empty");
    if (v->n_tokens > INT32_MAX / 4)
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.tokens has %zu entries", v->n_tokens);
    t->n = v->n_tokens;
    WH_TRY(load_spellings(t, v, err));
    WH_TRY(load_types(t, v, err));

    /* llama.cpp's defaults for files that do not say: <unk>, <s>, </s> of the Llama 2 vocabulary */
    bool    spm = t->kind == WH_TOK_SPM && t->n > 2;
    int32_t eot = -1;
    WH_TRY(load_id(&t->bos, t, v->bos < 0 && spm ? 1 : v->bos, "bos_token_id", err));
    WH_TRY(load_id(&t->eos, t, v->eos < 0 && spm ? 2 : v->eos, "eos_token_id", err));
    WH_TRY(load_id(&t->unk, t, v->unk < 0 && spm ? 0 : v->unk, "unknown_token_id", err));
    WH_TRY(load_id(&eot, t, v->eot, "eot_token_id", err));
    WH_TRY(load_ends(t, eot, err));
    WH_TRY(load_marked(t, err));
    WH_TRY(load_pieces(t, err));
    WH_TRY(t->kind == WH_TOK_BPE ? wh_bpe_init(t, v, err) : wh_spm_init(t, v, err));
    if (v->add_bos >= 0) t->add_bos = v->add_bos > 0;
    t->add_eos = v->add_eos > 0;
    if (t->add_bos && t->bos < 0)
        return wh_err_set(err, WH_ERR_FORMAT,
                          "a BOS token is to be added, but tokenizer.ggml.bos_token_id is missing");
    if (t->add_eos && t->eos < 0)
        return wh_err_set(err, WH_ERR_FORMAT,
                          "tokenizer.ggml.add_eos_token is set, but tokenizer.ggml.eos_token_id is missing");
    return WH_OK;
}

wh_code wh_tok_create(wh_tok **out, const wh_tok_vocab *v, wh_err *err)
{
    *out = NULL;
    wh_tok *t = wh_mem_zalloc(1, sizeof *t);
    if (!t) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a tokenizer");
    wh_code code = load(t, v, err);
    if (code != WH_OK) {
        wh_tok_free(t);
        return code;
    }
    *out = t;
    return WH_OK;
}

void wh_tok_free(wh_tok *t)
{
    if (!t) return;
    wh_bpe_reset(&t->bpe);
    free(t->spm.score);
    free(t->text);
    free(t->bytes);
    free(t->spell_at);
    free(t->piece_at);
    free(t->type);
    free(t->table);
    free(t->marked);
    free(t->ends);
    free(t);
}

/* ---- encoding --------------------------------------------------------------------------------------- */

/* The longest marked token that begins at s, -1: none. In a sorted list the spellings that share a prefix
 * are neighbours, so the range [lo, hi) of those that agree with the text so far only ever shrinks. */
static int32_t marked_here(const wh_tok *t, const char *s, size_t n, unsigned flags)
{
    int32_t found = -1;
    size_t  lo = t->marked_at[(unsigned char)s[0]], hi = t->marked_at[(unsigned char)s[0] + 1];
    for (size_t depth = 1; lo < hi; depth++) {
        wh_tok_str first = wh_tok_spelling_of(t, (size_t)t->marked[lo]);
        if (first.n == depth) {
            if (flags & WH_TOK_SPECIAL || t->type[t->marked[lo]] == WH_TOK_USER_DEFINED) found = t->marked[lo];
            lo++;
        }
        if (depth == n) break;
        /* narrow to the spellings whose byte at depth is the text's: two binary searches */
        for (int side = 0; side < 2; side++) {
            size_t a = lo, b = hi;
            while (a < b) {
                size_t        mid = a + (b - a) / 2;
                unsigned char c = (unsigned char)wh_tok_spelling_of(t, (size_t)t->marked[mid]).s[depth];
                if (c < (unsigned char)s[depth] + (unsigned)side) {
                    a = mid + 1;
                } else {
                    b = mid;
                }
            }
            if (side) {
                hi = a;
            } else {
                lo = a;
            }
        }
    }
    return found;
}

static wh_code encode_plain(const wh_tok *t, wh_tok_ids *ids, const char *s, size_t n, bool prefix, wh_err *err)
{
    if (!n) return WH_OK;
    return t->kind == WH_TOK_BPE ? wh_bpe_encode(t, ids, s, n, err) : wh_spm_encode(t, ids, s, n, prefix, err);
}

static wh_code encode(const wh_tok *t, wh_tok_ids *ids, const char *text, size_t n, unsigned flags, wh_err *err)
{
    bool   prefix = !(flags & WH_TOK_NO_PREFIX);
    size_t plain = 0; /* where the text not yet encoded begins */
    if (flags & WH_TOK_BOS && t->add_bos) WH_TRY(wh_tok_ids_push(ids, t->bos, err));
    for (size_t at = 0; at < n;) {
        int32_t id = marked_here(t, text + at, n - at, flags);
        if (id < 0) {
            at++;
            continue;
        }
        WH_TRY(encode_plain(t, ids, text + plain, at - plain, prefix, err));
        WH_TRY(wh_tok_ids_push(ids, id, err));
        at += wh_tok_spelling_of(t, (size_t)id).n;
        plain = at;
        prefix = true;
    }
    WH_TRY(encode_plain(t, ids, text + plain, n - plain, prefix, err));
    return flags & WH_TOK_BOS && t->add_eos ? wh_tok_ids_push(ids, t->eos, err) : WH_OK;
}

wh_code wh_tok_encode(const wh_tok *t, wh_tok_ids *ids, const char *text, size_t n, unsigned flags, wh_err *err)
{
    size_t had = ids->len;
    if (n >= INT32_MAX) return wh_err_set(err, WH_ERR_ARG, "a text of %zu bytes is too long to tokenize", n);
    wh_code code = encode(t, ids, text, n, flags, err);
    if (code != WH_OK) ids->len = had;
    return code;
}

/* ---- decoding --------------------------------------------------------------------------------------- */

static bool in_range(const wh_tok *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->n;
}

wh_tok_str wh_tok_piece(const wh_tok *t, int32_t id)
{
    if (!in_range(t, id)) return (wh_tok_str){"", 0};
    return (wh_tok_str){t->bytes + t->piece_at[id], t->piece_at[id + 1] - t->piece_at[id]};
}

wh_tok_str wh_tok_spelling(const wh_tok *t, int32_t id)
{
    return in_range(t, id) ? wh_tok_spelling_of(t, (size_t)id) : (wh_tok_str){"", 0};
}

wh_tok_type wh_tok_type_of(const wh_tok *t, int32_t id)
{
    return in_range(t, id) ? (wh_tok_type)t->type[id] : WH_TOK_UNKNOWN;
}

static bool is_silent(const wh_tok *t, int32_t id)
{
    return wh_tok_type_of(t, id) == WH_TOK_CONTROL || wh_tok_type_of(t, id) == WH_TOK_UNKNOWN;
}

void wh_tok_decode(const wh_tok *t, wh_buf *out, const int32_t *ids, size_t n, unsigned flags)
{
    for (size_t i = 0; i < n; i++) {
        wh_tok_str piece = wh_tok_piece(t, ids[i]);
        if (flags & WH_TOK_SPECIAL || !is_silent(t, ids[i])) wh_buf_put(out, piece.s, piece.n);
    }
}

void wh_tok_decode_init(wh_tok_decoder *d, const wh_tok *t, bool at_start)
{
    *d = (wh_tok_decoder){.tok = t, .drop_space = at_start && t->kind == WH_TOK_SPM && t->spm.add_space_prefix};
}

static void put_byte(wh_tok_decoder *d, wh_buf *out, char byte)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t            len;
    d->held[d->n_held++] = byte;
    while (d->n_held) {
        wh_utf8_state state = wh_utf8_next(&len, d->held, d->n_held);
        if (state == WH_UTF8_PARTIAL) return;
        if (state == WH_UTF8_OK) {
            wh_buf_put(out, d->held, len);
        } else {
            wh_buf_puts(out, replacement);
        }
        d->n_held -= len;
        memmove(d->held, d->held + len, d->n_held);
    }
}

void wh_tok_decode_put(wh_tok_decoder *d, wh_buf *out, int32_t id)
{
    if (is_silent(d->tok, id)) return;
    wh_tok_str piece = wh_tok_piece(d->tok, id);
    size_t     from = d->drop_space && piece.n && piece.s[0] == ' ';
    if (piece.n) d->drop_space = false;
    for (size_t i = from; i < piece.n; i++) put_byte(d, out, piece.s[i]);
}

void wh_tok_decode_end(wh_tok_decoder *d, wh_buf *out)
{
    if (d->n_held) wh_buf_puts(out, "\xEF\xBF\xBD");
    d->n_held = 0;
}

/* ---- facts ------------------------------------------------------------------------------------------ */

size_t wh_tok_count(const wh_tok *t)
{
    return t->n;
}

int32_t wh_tok_bos(const wh_tok *t)
{
    return t->bos;
}

int32_t wh_tok_eos(const wh_tok *t)
{
    return t->eos;
}

bool wh_tok_adds_bos(const wh_tok *t)
{
    return t->add_bos;
}

size_t wh_tok_ends(const wh_tok *t, const int32_t **ids)
{
    *ids = t->ends;
    return t->n_ends;
}

bool wh_tok_is_end(const wh_tok *t, int32_t id)
{
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] == id) return true;
    return false;
}
