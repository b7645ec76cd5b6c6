/* cache: who owns which KV block, and which prefixes are already computed.
 *
 * The blocks form a tree: a block holds the tokens of WH_KV_BLOCK positions and hangs below the block of
 * the positions before it. A path from the root is a token prefix whose keys and values exist, as in the
 * radix tree of SGLang (Zheng et al. 2023). A full block never changes and is shared by every sequence
 * that has its prefix. The last, partly filled block of a sequence is its own; another sequence that
 * begins with the same tokens gets a copy of that beginning. Blocks that no sequence holds stay until
 * the room is needed, and go in the order of their last use, leaves first.
 *
 * Invariants: a block with children is full; refs of a block >= refs held through any child's sequence;
 * a token counts as computed (and may be found) only after wh_cache_commit.
 */
#ifndef WH_ENGINE_CACHE_H
#define WH_ENGINE_CACHE_H

#include "model/kv.h"

typedef struct wh_cache wh_cache;

typedef struct wh_cache_seq {
    uint32_t *table;  /* blocks in order of position; room for the whole context */
    size_t    len;    /* tokens computed or planned */
    size_t    blocks; /* held in table */
} wh_cache_seq;

/* Borrows kv. context: tokens of a sequence at most. */
wh_code wh_cache_create(wh_cache **out, wh_kv *kv, size_t context, wh_err *err);
void    wh_cache_free(wh_cache *c);

wh_code wh_cache_seq_init(wh_cache_seq *s, const wh_cache *c, wh_err *err);
void    wh_cache_seq_free(wh_cache_seq *s); /* after wh_cache_close */

/* How many of the n tokens wh_cache_open would find. */
size_t wh_cache_match(const wh_cache *c, const int32_t *tokens, size_t n);
/* Start an empty sequence with the longest beginning of tokens that is there; s->len tells how long. */
void   wh_cache_open(wh_cache *c, wh_cache_seq *s, const int32_t *tokens, size_t n);
/* Make room for one more token at position s->len; false: no block is free (the sequence is unchanged). */
bool   wh_cache_extend(wh_cache *c, wh_cache_seq *s, int32_t token);
/* The first n tokens of s are computed now: others may find them. */
void   wh_cache_commit(wh_cache *c, const wh_cache_seq *s, size_t n);
/* The sequence lets go of its blocks; what was committed may be found until the room is needed. */
void   wh_cache_close(wh_cache *c, wh_cache_seq *s);

/* Blocks that hold anything: held by sequences or kept for reuse. */
size_t wh_cache_used(const wh_cache *c);

#endif
