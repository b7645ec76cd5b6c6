/* cache: who owns which KV block, and which prefixes are already computed.
 *
 * The blocks form a tree: a block holds the tokens of WH_KV_BLOCK positions and hangs below the block of
 * the positions before it. A path from the root is a token prefix whose keys and values exist, as in the
 * radix tree of SGLang (Zheng et al. 2023). A full block never changes and is shared by every sequence
 * that has its prefix. The last, partly filled block of a sequence is its own; another sequence that
 * begins with the same tokens gets a copy of that beginning. Blocks that no sequence holds stay until
 * the room is needed, and go in the order of their last use, leaves first.
 *
 * A block has an open half (model/kv.h) until it is full and computed, and a closed half from the moment it
 * is planned to be full. Only open halves can be copied: the beginning of a full block is gone.
 *
 * Invariants: a block with children is full; no two full blocks below the same parent hold the same tokens; a sequence holds every block of its table; a token counts as
 * computed (and may be found) only after wh_cache_commit.
 */
#ifndef WH_ENGINE_CACHE_H
#define WH_ENGINE_CACHE_H

#include "model/kv.h"

typedef struct wh_cache wh_cache;

typedef struct wh_cache_seq {
    uint32_t *nodes; /* blocks in order of position; room for the whole context */
    uint32_t *table; /* their closed halves, as wh_batch wants them */
    size_t    len;   /* tokens computed or planned */
    size_t    blocks;
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
/* The open half of the block that position p of s lies in; only for positions not committed yet. */
uint32_t wh_cache_open_half(const wh_cache *c, const wh_cache_seq *s, size_t p);
/* The first n tokens of s are computed now: others may find them. A block that is full now and was there already,
 * because another sequence came to the same tokens, is let go for that one. */
void   wh_cache_commit(wh_cache *c, wh_cache_seq *s, size_t n);
/* The first n tokens of s are computed, but not committed yet. Leave a copy of the last block behind for others
 * to find, since the sequence goes on and will close its own: of a block that n fills all but the last token,
 * which who finds it computes again. Does nothing when there is no free block. */
void   wh_cache_keep(wh_cache *c, const wh_cache_seq *s, size_t n);
/* The sequence lets go of its blocks; what was committed may be found until the room is needed. */
void   wh_cache_close(wh_cache *c, wh_cache_seq *s);

/* Blocks that hold anything: held by sequences or kept for reuse. */
size_t wh_cache_used(const wh_cache *c);

#endif
