#include "engine/ledger.h"

void wh_ledger_add(wh_ledger *to, const wh_ledger *what)
{
    to->linear += what->linear;
    to->attention += what->attention;
    to->head += what->head;
    to->prefill_tokens += what->prefill_tokens;
    to->decode_tokens += what->decode_tokens;
    to->reused_tokens += what->reused_tokens;
}

void wh_ledger_count(wh_ledger *l, const wh_cost *c, uint64_t past, uint64_t n, uint64_t logits)
{
    l->linear += n * c->body;
    l->attention += c->attn_per_key * (past * n + n * (n + 1) / 2);
    l->head += logits * c->head;
}

uint64_t wh_ledger_total(const wh_ledger *l) { return l->linear + l->attention + l->head; }

uint64_t wh_ledger_paper(const wh_ledger *l, const wh_cost *c) { return 2 * c->params * l->decode_tokens; }
