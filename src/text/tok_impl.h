/* tok_impl: the inside of a wh_tok, shared by tok.c, tok_bpe.c and tok_spm.c alone.
 *
 * Invariants after creation:
 *   spelling and piece of token i are text[spell_at[i] .. spell_at[i+1]) and bytes[piece_at[i] ..);
 *   every non-empty spelling is in the hash table once; every id stored anywhere is in [0, n).
 */
#ifndef WH_TEXT_TOK_IMPL_H
#define WH_TEXT_TOK_IMPL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/tok.h"

#include <pcre2.h>

typedef struct wh_bpe {
    pcre2_code *stage[2]; /* tok_pre.def; stage[1] may be NULL */
    bool        ignore_merges;
    int32_t     byte_id[256]; /* the token of one byte, -1: none */
    struct wh_bpe_pair {
        int32_t  left, right; /* left < 0: an empty slot */
        int32_t  merged;
        uint32_t rank;
    }     *pairs; /* open addressing, pair_mask + 1 slots */
    size_t pair_mask;
} wh_bpe;

typedef struct wh_spm {
    float  *score;        /* n */
    int32_t byte_id[256]; /* "<0x00>".., or the unknown token */
    size_t  longest;      /* bytes of the longest spelling that text can become */
    bool    add_space_prefix;
} wh_spm;

struct wh_tok {
    enum wh_tok_kind { WH_TOK_BPE, WH_TOK_SPM } kind;
    size_t    n;
    char     *text, *bytes;
    uint32_t *spell_at, *piece_at;
    uint8_t  *type;
    uint32_t *table; /* open addressing: id + 1, 0 is empty; table_mask + 1 slots */
    size_t    table_mask;
    int32_t  *marked; /* control, unknown and user-defined tokens, sorted by spelling */
    size_t    n_marked;
    uint32_t  marked_at[257]; /* the range of those that begin with a byte */
    int32_t  *ends;
    size_t    n_ends;
    int32_t   bos, eos, unk;
    bool      add_bos, add_eos;
    wh_bpe    bpe;
    wh_spm    spm;
};

static inline wh_tok_str wh_tok_spelling_of(const wh_tok *t, size_t id)
{
    return (wh_tok_str){t->text + t->spell_at[id], t->spell_at[id + 1] - t->spell_at[id]};
}

/* What byte-level BPE writes for a byte (GPT-2 encoder.py, bytes_to_unicode), as UTF-8; returns 1 or 2. */
size_t wh_bpe_letter(char out[2], unsigned char byte);
/* Write the bytes that a spelling stands for to out (at most n of them) and return their number, or -1
 * when the spelling holds a character that stands for no byte. */
ptrdiff_t wh_bpe_unspell(char *out, const char *s, size_t n);

/* Fill t->bpe / t->spm; spellings, types and table are there already. What was made is freed by
 * wh_bpe_reset even after a failure. */
wh_code wh_bpe_init(wh_tok *t, const wh_tok_vocab *v, wh_err *err);
void    wh_bpe_reset(wh_bpe *b);
wh_code wh_spm_init(wh_tok *t, const wh_tok_vocab *v, wh_err *err);

/* Append the ids of a text without marked tokens. prefix: put the space in front that the file asks for. */
wh_code wh_bpe_encode(const wh_tok *t, wh_tok_ids *ids, const char *text, size_t n, wh_err *err);
wh_code wh_spm_encode(const wh_tok *t, wh_tok_ids *ids, const char *text, size_t n, bool prefix, wh_err *err);

/* The heap and the chain of symbols that both kinds of merging run on; see tok_merge.c. */
typedef struct wh_merge_cand {
    uint64_t key;         /* smallest first */
    int32_t  at;          /* index of the left symbol; among equal keys the leftmost goes first */
    int32_t  left, right; /* what the symbols were when this was pushed: stale if they are not any more */
    int32_t  merged;
} wh_merge_cand;

#define WH_MERGE_GONE INT32_MIN /* id of a symbol that went into the one on its left */

typedef struct wh_merge_sym {
    int32_t id;         /* token, -1: not a token, or WH_MERGE_GONE */
    int32_t prev, next; /* -1: none */
    int32_t from;       /* byte offset in the text; the symbol ends where the next one begins */
} wh_merge_sym;

typedef struct wh_merge {
    wh_merge_sym  *sym;
    size_t         n_sym, cap_sym;
    wh_merge_cand *heap;
    size_t         n_heap, cap_heap;
} wh_merge; /* starts as {0} */

void wh_merge_free(wh_merge *m);
/* Room for n symbols in all; the list is emptied. */
wh_code wh_merge_reset(wh_merge *m, size_t n, wh_err *err);
void    wh_merge_add(wh_merge *m, int32_t id, size_t from);

/* What two neighbours merge to: fill key and merged and return true, or return false. */
typedef bool (*wh_merge_find)(const void *ctx, wh_merge_cand *out, const wh_merge *m, int32_t left, int32_t right);
/* Merge until nothing merges; the result is the chain that starts at symbol 0. */
wh_code wh_merge_run(wh_merge *m, wh_merge_find find, const void *ctx, wh_err *err);

#endif
