/* forward: one pass over the weights for any set of rows.
 *
 * A row is one token at one position of one sequence. Rows of many sequences, decode steps and chunks of
 * prompts, go through together: the weights are read once for all of them. What a row computes depends
 * on its own token, position and KV alone, bit for bit, not on its neighbours.
 */
#ifndef WH_MODEL_FORWARD_H
#define WH_MODEL_FORWARD_H

#include "model/kv.h"
#include "model/model.h"

typedef struct wh_forward wh_forward; /* the buffers of a pass; one pass at a time */

/* For up to max_rows rows at positions below context, through the first `layers` blocks, 1..L. Fewer than L make
 * no out rows: such a pass is for its taps. Borrows model and par. */
wh_code wh_forward_create(wh_forward **out, const wh_model *model, wh_par *par, size_t layers, size_t max_rows,
                          size_t context, wh_err *err);
void    wh_forward_free(wh_forward *f);
size_t  wh_forward_bytes(const wh_forward *f);

/* Hidden states wanted of a row: what the residual stream is behind the blocks layers[0..n), ascending, 1..L, to
 * `to` (n, d). Behind the last block it is normed as the LM head reads it. Behind an inner one it is divided by
 * its root mean square, sqrt(mean(x²) + eps): its length grows a hundredfold from the first block to the last,
 * and what reads it should not have to know. */
typedef struct wh_tap {
    uint32_t        row;
    uint32_t        n;
    const uint32_t *layers;
    float          *to;
} wh_tap;

/* n rows. Row i stands at position p of its sequence, in block column p / WH_KV_BLOCK: in the open KV block
 * open[i]; tables[i] lists the closed blocks of the columns before. The rows of one sequence stand together,
 * in order of position, and all earlier positions are in the cache or in the batch. Rows whose sequences
 * share blocks should stand together. Open blocks that this batch fills are closed in passing: close_from
 * (open) becomes close_to (closed). */
typedef struct wh_batch {
    size_t                 n;
    const int32_t         *tokens;    /* each below vocab */
    const uint32_t        *positions; /* each below context */
    const uint32_t        *open;
    const uint32_t *const *tables;
    size_t                 n_close;
    const uint32_t        *close_from, *close_to;
    size_t                 n_out; /* rows that the LM head reads */
    size_t                 n_logits; /* the first n_logits of them are given to the sink */
    const uint32_t        *out_rows;
    size_t                 n_taps;
    const wh_tap          *taps; /* in order of row */
} wh_batch;

/* What happens to logits: they are made in tiles of WH_HEAD_TILE tokens and handed
 * over while they are in cache; nobody stores all of them. All functions run on all threads at once. */
enum { WH_HEAD_TILE = 1024 };
typedef struct wh_head_sink {
    /* logits of out row `row` for the tokens [begin, begin + n); tiles begin at multiples of WH_HEAD_TILE */
    void (*tile)(void *ctx, int tid, size_t row, const float *logits, size_t begin, size_t n);
    /* after all tiles of all rows; each row once */
    void (*row)(void *ctx, int tid, size_t row);
    void *ctx;
} wh_head_sink;

/* Compute the rows, write their K and V into kv, and feed the sink (not used when n_logits is 0). */
void wh_forward_run(wh_forward *f, wh_kv *kv, const wh_batch *batch, const wh_head_sink *sink);

/* After the layers of a run (in a sink's functions too): the logits of an out row for the tokens [begin, end), begin a multiple of 16,
 * end too or vocab: the same bits the tiles have. tid: the calling thread's, 0 outside a sink. */
void wh_forward_logits(wh_forward *f, int tid, float *logits, size_t row, size_t begin, size_t end);

#endif
