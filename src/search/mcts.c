/* Monte Carlo tree search with UCT, valued by the PRM. A simulation
 *   selects    from the root down, the child with the largest mean + c·sqrt(ln(visits of parent) / visits)
 *   expands    the leaf it arrives at by M steps; each starts with its own score as its first visit
 *   rolls out  the best of them to the end of the answer, which is a solution of the problem
 *   backs up   the rollout's last score (the step's own, when the step was an end) along the path
 * N simulations are made, some at a time in one batch: a path that is being simulated counts as visited with
 * value 0 until its result is in, so that the others of the batch look elsewhere. All solutions vote.
 *
 * In this tree visits counts simulations through a node, value is their mean; visits is 0 for rollouts.
 */
#include "search/stepwise.h"

#include <math.h>

typedef struct params {
    wh_stepwise step;
    double      exploration;
    uint32_t    parallel;
} params;

static const wh_param table[] = {
    WH_STEPWISE_PARAMS(params, step),
    WH_STEPWISE_WIDTH(params, step),
    {"exploration", WH_PARAM_REAL, offsetof(params, exploration), 0.5, 0, 100, NULL,
     "how much is ventured on steps tried less often (c)"},
    {"parallel", WH_PARAM_INT, offsetof(params, parallel), 4, 1, 256, NULL, "simulations of one batch"},
};

typedef enum { SELECT, EXPANDED, ROLLED } phase;

typedef struct simulation {
    uint32_t leaf, best; /* WH_NONE: no child came out of the expansion */
} simulation;

typedef struct state {
    phase       at;
    simulation *sims;
    uint32_t    n, made; /* in this batch; in all */
} state;

static bool selected(const state *s, uint32_t node)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->sims[i].leaf == node) return true;
    return false;
}

/* Is there a leaf to expand at or below this node? */
static bool open_below(const wh_tree *t, const state *s, uint32_t node)
{
    const wh_node *n = &t->nodes[node];
    if (n->end != WH_END_NONE || n->fate != WH_FATE_IN_PLAY || !(n->visits > 0)) return false;
    bool leaf = true;
    for (uint32_t c = n->first_child; c; c = t->nodes[c].next) {
        if (open_below(t, s, c)) return true;
        leaf = leaf && !(t->nodes[c].visits > 0);
    }
    return leaf && !selected(s, node);
}

static bool select_leaf(wh_tree *t, const params *p, state *s)
{
    if (!open_below(t, s, 0)) return false;
    uint32_t at = 0;
    for (;;) {
        wh_node *n = &t->nodes[at];
        uint32_t best = WH_NONE;
        double most = 0, log_visits = log(n->visits);
        for (uint32_t c = n->first_child; c; c = t->nodes[c].next) {
            const wh_node *k = &t->nodes[c];
            if (!open_below(t, s, c)) continue;
            double worth = k->value + p->exploration * sqrt(log_visits / k->visits);
            if (!best || worth > most) {
                best = c;
                most = worth;
            }
        }
        n->value *= n->visits / (n->visits + 1); /* visited, with value 0 for now */
        n->visits++;
        if (!best) break;
        at = best;
    }
    s->sims[s->n++] = (simulation){.leaf = at};
    return true;
}

static void back_up(wh_tree *t, const simulation *sim, double result)
{
    if (sim->best) {
        wh_node *b = &t->nodes[sim->best];
        b->visits++;
        b->value += (result - b->value) / b->visits;
    }
    for (uint32_t i = sim->leaf;; i = t->nodes[i].parent) {
        t->nodes[i].value += result / t->nodes[i].visits;
        if (!i) break;
    }
}

static void begin_batch(wh_tree *t, const params *p, state *s, uint32_t lane, wh_wishes *out)
{
    s->n = 0;
    while (s->n < p->parallel && s->made + s->n < p->step.n && select_leaf(t, p, s)) {
        wh_expand e = wh_stepwise_expand(&p->step, s->sims[s->n - 1].leaf, p->step.width, lane);
        wh_wish_expand(out, &e);
    }
    s->made += s->n;
    s->at = EXPANDED;
    if (!s->n) wh_wish_done(out, lane);
}

/* The leaves have their children: solutions among them are accepted, the best child of each is rolled out. */
static bool roll_out(wh_tree *t, const params *p, state *s, uint32_t lane, wh_wishes *out)
{
    bool any = false;
    for (uint32_t i = 0; i < s->n; i++) {
        simulation *sim = &s->sims[i];
        for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, sim->leaf, lane, c));) {
            wh_node *n = &t->nodes[c];
            n->visits = 1;
            if (n->end != WH_END_NONE) wh_wish_accept(out, c);
            if (!sim->best || n->value > t->nodes[sim->best].value) sim->best = c;
        }
        if (!sim->best) t->nodes[sim->leaf].end = WH_END_STUCK;
        if (!sim->best || t->nodes[sim->best].end != WH_END_NONE) continue;
        wh_expand e = wh_stepwise_expand(&p->step, sim->best, 1, lane);
        e.steps = e.depth = 0;
        e.accept = true;
        wh_wish_expand(out, &e);
        any = true;
    }
    s->at = ROLLED;
    return any;
}

static void end_batch(wh_tree *t, state *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const simulation *sim = &s->sims[i];
        uint32_t from = sim->best ? sim->best : sim->leaf;
        uint32_t rollout = sim->best ? t->nodes[sim->best].first_child : WH_NONE;
        back_up(t, sim, sim->best ? t->nodes[rollout ? rollout : from].value : 0);
    }
    s->at = SELECT;
}

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state_, wh_wishes *out, wh_err *err)
{
    const params *p = params_;
    state *s = state_;
    if (!s->sims) {
        s->sims = wh_tree_alloc(t, p->parallel, sizeof *s->sims);
        if (!s->sims) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u simulations", p->parallel);
        t->nodes[0].visits = 1;
    }
    if (s->at == EXPANDED && roll_out(t, p, s, lane, out)) return WH_OK;
    if (s->at == ROLLED) end_batch(t, s);
    begin_batch(t, p, s, lane, out);
    return WH_OK;
}

static void flops(double *policy, double *prm, const wh_task *task, const void *params_)
{
    const params *p = params_;
    double steps = fmax(1, task->answer_tokens / task->step_tokens);
    double group = fmin(p->step.granularity ? p->step.granularity : steps, steps), computed = 0;
    /* The leaf of simulation i is about as deep as a full tree of that many inner nodes. */
    for (uint32_t i = 0; i < p->step.n; i++) {
        double at = p->step.width > 1 ? floor(log(1 + i * (p->step.width - 1.0)) / log(p->step.width)) : i;
        at = fmin(at * group, steps - group);
        computed += p->step.width * group + (steps - at - group);
    }
    wh_stepwise_flops(policy, prm, task, computed / steps);
}

const wh_strategy wh_strategy_mcts = {
    .name = "mcts",
    .help = "N simulations of a tree search with UCT, rolled out to solutions",
    .source = "Kocsis and Szepesvari 2006 (UCT); Hao et al. 2023 (2305.14992) for steps of reasoning; virtual "
              "visits as in Chaslot et al. 2008",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .state_size = sizeof(state),
    .needs_prm = true,
    .advance = advance,
    .flops = flops,
};
