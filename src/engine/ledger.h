/* ledger: every floating-point operation, counted by formula; a multiply-add is 2.
 *
 * Per token: the linear layers of the body, the head where logits are made, and attention to t keys
 * (4·L·H·h·t for QKᵀ and AV). Norms, RoPE, softmax and SiLU are O(d) and left out, as in the paper.
 * Beside it the paper's own measure 2·N·D (Liu et al. 2025, Table 4): N parameters, D tokens.
 */
#ifndef WH_ENGINE_LEDGER_H
#define WH_ENGINE_LEDGER_H

#include <stddef.h>
#include <stdint.h>

/* What one token costs; made from the model's configuration (model/config.h). */
typedef struct wh_cost {
    uint64_t body;          /* linear layers of all blocks, per token */
    uint64_t head;          /* LM head, per row of logits */
    uint64_t attn_per_key;  /* attention, per token and key it attends to */
    uint64_t params;        /* N of the paper: all weights that multiply, head included */
} wh_cost;

typedef struct wh_ledger {
    uint64_t linear, attention, head;  /* FLOPs */
    uint64_t prefill_tokens;           /* tokens of prompts and prefixes that were computed */
    uint64_t decode_tokens;            /* tokens that were generated */
    uint64_t reused_tokens;            /* prefix tokens whose KV was found instead of computed */
} wh_ledger;

void wh_ledger_add(wh_ledger *to, const wh_ledger *what);
/* n tokens computed on top of `past` cached ones, `logits` of them with logits. */
void wh_ledger_count(wh_ledger *l, const wh_cost *c, uint64_t past, uint64_t n, uint64_t logits);
uint64_t wh_ledger_total(const wh_ledger *l);
/* 2·N·D of the paper: D = generated tokens alone, no prefill, no attention. */
uint64_t wh_ledger_paper(const wh_ledger *l, const wh_cost *c);

#endif
