/* prm: one reader of solutions: its model, its head, and the scorings under way.
 *
 * A scoring is one job of an engine: the whole path as the kind renders it, looked at where the new steps end. The
 * engine finds what it has of the path; what its positions give (two logits, or a hidden state that goes through
 * the head) becomes probabilities in the engine's callback, and the owner's callback gets them. Where a probe has
 * looked already its mark is the score, and a scoring that has all its marks needs no job.
 *
 * Invariant: every ticket in `tickets` belongs to exactly one job that has not been answered; those in `known` to none.
 */
#include "answer/numbers.h"
#include "base/mem.h"
#include "reward/prm_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct wh_prm_ticket {
    wh_prm *prm;
    struct wh_prm_ticket *next, **link; /* link: what points here */
    size_t  n_new, n_fit;
    size_t  n_own;  /* steps that are looked at: of the new ones those that fit, or the last that does */
    size_t  n_jobs; /* of them: those whose score is not known from a mark */
    double *scores; /* (n_new); NAN: to be computed */
    wh_arithmetic_verdict *equations; /* (n_new): of the path, up to each of those that are looked at */
    bool    omits;  /* the path is a solution that leaves out a number of the problem */
    void  (*on_done)(void *, const wh_prm_result *);
    void   *user;
} ticket;

double wh_prm_calibrate(const wh_prm_calibration *c, double logit, wh_prm_evidence evidence)
{
    double by_text = evidence.equations == WH_ARITHMETIC_FAILS ? c->fails : evidence.equations == WH_ARITHMETIC_HOLDS ? c->holds : 0;
    if (evidence.omits) by_text += c->omits;
    return 1 / (1 + exp(-(c->slope * logit + c->offset + by_text)));
}

static double log_odds(double score) { return log(score / (1 - score)); }
static double shift(double score, double by) { return 1 / (1 + exp(-(log_odds(score) + by))); }

/* Weights that overflow make no number; such a score is 0, so that it ranks last. */
static double score_at(wh_prm *p, const float *values, size_t width, wh_prm_evidence evidence)
{
    double score = p->head ? p->kind->score(wh_prm_mlp_run(p->head, values), wh_prm_mlp_outputs(p->head))
                           : p->kind->score(values, width);
    const wh_prm_calibration *c = &p->calibration;
    bool as_it_is = c->slope == 1 && c->offset == 0 && c->fails == 0 && c->holds == 0 && c->omits == 0;
    if (!as_it_is) score = wh_prm_calibrate(c, log_odds(score), evidence);
    return score >= 0 ? score : 0;
}

double wh_prm_score_state(wh_prm *p, const float *state, wh_prm_evidence evidence)
{
    p->head_flops += p->cost.head;
    return score_at(p, state, 0, evidence);
}

static void put_tokens(wh_buf *text, const wh_prm *p, const int32_t *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wh_tok_str piece = wh_tok_piece(p->tok, tokens[i]);
        wh_buf_put(text, piece.s, piece.n);
    }
}

/* What the arithmetic of a policy's own text says where a step is read at tokens[n - 1], and `next` (-1: nothing) follows:
 * by the rule before_blank_line that token may end with the step's last characters. false: no memory. */
static bool read_own_equations(wh_arithmetic_verdict *out, const wh_prm *p, const int32_t *tokens, size_t n, size_t begin, int32_t next)
{
    bool ends_step = p->use.before && next >= 0 && !wh_tok_is_end(p->tok, next);
    wh_buf text = {0};
    wh_arithmetic a = {0};
    put_tokens(&text, p, tokens + begin, n - begin);
    if (ends_step) put_tokens(&text, p, &next, 1);
    bool ok = wh_buf_ok(&text);
    if (ok) wh_arithmetic_check(&a, text.data, text.len);
    *out = wh_arithmetic_say(&a);
    wh_buf_free(&text);
    return ok;
}

bool wh_prm_look(void *ctx, double *value, const int32_t *tokens, size_t n, size_t begin, int32_t next, const float *state)
{
    wh_prm *p = ctx;
    if (!wh_prm_head_reads(tokens, n, begin, next, p->use.before, p->tok)) return false;
    wh_prm_evidence evidence = {0};
    if (!read_own_equations(&evidence.equations, p, tokens, n, begin, next)) return false; /* it will be scored by a job */
    *value = wh_prm_score_state(p, state, evidence);
    return true;
}

static void free_ticket(ticket *t)
{
    if (!t) return;
    free(t->scores);
    free(t->equations);
    free(t);
}

void wh_prm_free(wh_prm *p)
{
    if (!p) return;
    wh_engine_free(p->own_engine);
    for (int i = 0; i < 2; i++)
        for (ticket *t = i ? p->known : p->tickets, *next; t; t = next) {
            next = t->next;
            free_ticket(t);
        }
    wh_prm_mlp_free(p->head);
    wh_chat_free(p->own_chat);
    wh_tok_free(p->own_tok);
    wh_model_free(p->own_model);
    free(p);
}

const wh_probe *wh_prm_probe(const wh_prm *p) { return p->own_engine ? NULL : &p->probe; }
bool wh_prm_in_passing(const wh_prm *p) { return !p->own_engine && p->use.before; }
const char *wh_prm_name(const wh_prm *p) { return p->kind->about.name; }
size_t wh_prm_context(const wh_prm *p) { return wh_engine_context(p->engine); }
const wh_cost *wh_prm_cost(const wh_prm *p) { return &p->cost; }

/* ---- scoring ------------------------------------------------------------------------------------------------ */

wh_code wh_prm_render(const wh_prm *p, wh_tok_ids *ids, size_t *positions, const wh_prm_spec *spec, wh_err *err)
{
    wh_tok_str *steps = wh_mem_alloc(spec->n_steps, sizeof *steps);
    if (!steps) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", spec->n_steps);
    for (size_t i = 0; i < spec->n_steps; i++) steps[i] = wh_chat_trim((wh_tok_str){spec->steps[i], strlen(spec->steps[i])});
    const wh_prm_input in = {.tok = p->tok, .chat = p->chat, .marker = p->marker, .good = p->good, .bad = p->bad, .before = p->use.before,
                             .question = {spec->question, strlen(spec->question)}, .steps = steps, .n_steps = spec->n_steps};
    wh_code code = p->kind->render(&in, ids, positions, err);
    free(steps);
    return code;
}

/* The policy's own tokens and where its steps end in them. */
static wh_code take_prefix(const wh_prm *p, wh_tok_ids *ids, size_t *positions, const wh_prm_spec *spec, wh_err *err)
{
    if (!spec->prefix || !spec->n_prompt || spec->n_prompt > spec->n_prefix)
        return wh_err_set(err, WH_ERR_ARG, "a head on the policy needs the policy's tokens");
    for (size_t i = 0; i < spec->n_prefix; i++) WH_TRY(wh_tok_ids_push(ids, spec->prefix[i], err));
    size_t found;
    WH_TRY(wh_prm_head_find_steps(&found, positions, spec->n_steps, ids, spec->n_prompt, p->use.before, p->tok, err));
    if (found != spec->n_steps)
        return wh_err_set(err, WH_ERR_ARG, "the policy's tokens make %zu steps, but %zu are to be scored", found, spec->n_steps);
    return WH_OK;
}

static ticket *create_ticket(wh_prm *p, const wh_prm_spec *spec)
{
    ticket *t = wh_mem_alloc(1, sizeof *t);
    if (!t) return NULL;
    *t = (ticket){.prm = p, .n_new = spec->n_new, .on_done = spec->on_done, .user = spec->user,
                  .scores = wh_mem_alloc(spec->n_new, sizeof *t->scores), .equations = wh_mem_alloc(spec->n_new, sizeof *t->equations)};
    if (t->scores && t->equations) return t;
    free_ticket(t);
    return NULL;
}

static void unlink_ticket(ticket *t)
{
    *t->link = t->next;
    if (t->next) t->next->link = t->link;
}

static void link_ticket(ticket **list, ticket *t)
{
    t->next = *list;
    t->link = list;
    if (t->next) t->next->link = &t->next;
    *list = t;
}

/* The owner is told; the last score that is its own stands for the steps beyond it too. What a solution leaves out moves the
 * score that its end has without, because a probe may have marked that one. */
static void answer(ticket *t, wh_prm_result *r)
{
    unlink_ticket(t);
    r->n_new = t->n_new;
    r->n_fit = t->n_fit;
    if (!r->cancelled) {
        for (size_t i = t->n_own; i < t->n_new; i++) t->scores[i] = t->scores[i - 1];
        if (t->omits) t->scores[t->n_new - 1] = shift(t->scores[t->n_new - 1], t->prm->calibration.omits);
        r->scores = t->scores;
    }
    if (t->on_done) t->on_done(t->user, r);
    free_ticket(t);
}

static void on_values(void *user, const wh_score_result *r)
{
    ticket *t = user;
    wh_prm *p = t->prm;
    wh_prm_result result = {.cancelled = r->cancelled, .ledger = r->ledger};
    if (!r->cancelled) {
        const float *values = r->values;
        for (size_t i = 0; i < t->n_own; i++) {
            if (!isnan(t->scores[i])) continue;
            t->scores[i] = score_at(p, values, r->width, (wh_prm_evidence){.equations = t->equations[i]});
            values += r->width;
        }
        uint64_t flops = p->head ? r->n_positions * p->cost.head : 0;
        result.ledger.head += flops;
        p->head_flops += flops;
    }
    answer(t, &result);
}

/* How many of the steps fit, and the first and last of those that are to be looked at: the new ones that fit or,
 * when none of the new does, the last that does. */
static wh_code choose_positions(const wh_prm *p, ticket *t, size_t *first, const size_t *positions, const wh_prm_spec *spec, wh_err *err)
{
    size_t fit = 0, old = spec->n_steps - spec->n_new, context = wh_engine_context(p->engine);
    while (fit < spec->n_steps && positions[fit] < context) fit++;
    if (fit == 0 || (spec->whole && fit < spec->n_steps))
        return wh_err_set(err, WH_ERR_BUDGET, "step %zu ends at token %zu, but the PRM's context holds %zu", fit + 1,
                          positions[fit] + 1, context);
    t->n_fit = fit > old ? fit - old : 0;
    t->n_own = fit > old ? fit - old : 1;
    *first = fit - t->n_own;
    return WH_OK;
}

/* What the arithmetic says at the steps that are looked at, of which `first` is the first: from the policy's own tokens when
 * they are what is read, so that it is the same as in passing. */
static wh_code read_equations(const wh_prm *p, ticket *t, size_t first, const wh_tok_ids *ids, const size_t *positions, const wh_prm_spec *spec,
                              wh_err *err)
{
    wh_arithmetic so_far = {0};
    for (size_t i = 0; p->own_engine && i < first + t->n_own; i++) {
        wh_arithmetic_check(&so_far, spec->steps[i], strlen(spec->steps[i]));
        if (i >= first) t->equations[i - first] = wh_arithmetic_say(&so_far);
    }
    for (size_t i = 0; !p->own_engine && i < t->n_own; i++) {
        size_t n = positions[first + i] + 1;
        if (!read_own_equations(&t->equations[i], p, ids->data, n, spec->n_prompt, n < ids->len ? ids->data[n] : -1))
            return wh_err_set(err, WH_ERR_NOMEM, "no memory for the text of a step");
    }
    return WH_OK;
}

/* Where the path is a solution: does it leave out a number of the problem? */
static wh_code read_numbers(const wh_prm *p, ticket *t, const wh_tok_ids *ids, const wh_prm_spec *spec, wh_err *err)
{
    if (!spec->ended || p->calibration.omits == 0) return WH_OK;
    wh_buf text = {0};
    if (!p->own_engine) put_tokens(&text, p, ids->data + spec->n_prompt, ids->len - spec->n_prompt);
    for (size_t i = 0; p->own_engine && i < spec->n_steps; i++) wh_buf_printf(&text, "%s\n\n", spec->steps[i]);
    bool ok = wh_buf_ok(&text);
    if (ok) t->omits = wh_numbers_left_out(spec->question, strlen(spec->question), text.data, text.len);
    wh_buf_free(&text);
    return ok ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the text of a solution");
}

/* Scores that are marked become known; the others' positions are left in positions[0 .. t->n_jobs). */
static void take_marks(ticket *t, size_t *positions, const wh_prm_spec *spec)
{
    size_t m = 0;
    for (size_t i = 0; i < t->n_own; i++) {
        while (m < spec->n_marks && spec->marks[m].position < positions[i]) m++;
        bool known = m < spec->n_marks && spec->marks[m].position == positions[i];
        t->scores[i] = known ? spec->marks[m].value : (double)NAN;
        if (!known) positions[t->n_jobs++] = positions[i];
    }
}

static wh_code submit(wh_prm *p, ticket *t, wh_job *job, const wh_tok_ids *ids, size_t *positions, const wh_prm_spec *spec, wh_err *err)
{
    size_t first = 0;
    const int32_t good_bad[] = {p->good, p->bad};
    WH_TRY(choose_positions(p, t, &first, positions, spec, err));
    WH_TRY(read_equations(p, t, first, ids, positions, spec, err));
    WH_TRY(read_numbers(p, t, ids, spec, err));
    positions += first;
    take_marks(t, positions, spec);
    if (job) *job = 0;
    if (!t->n_jobs) {
        link_ticket(&p->known, t);
        return WH_OK;
    }
    const wh_score_spec s = {.prefix = ids->data, .n_prefix = positions[t->n_jobs - 1] + 1, .positions = positions,
                             .n_positions = t->n_jobs, .what = p->head ? WH_SCORE_HIDDEN : WH_SCORE_LOGITS,
                             .ids = good_bad, .n_ids = p->head ? 0 : 2, .layers = p->use.layers, .n_layers = p->use.n_layers,
                             .on_done = on_values, .user = t};
    WH_TRY(wh_engine_score(p->engine, job, &s, err));
    link_ticket(&p->tickets, t);
    return WH_OK;
}

wh_code wh_prm_score(wh_prm *p, wh_job *job, const wh_prm_spec *spec, wh_err *err)
{
    if (!spec->n_new || spec->n_new > spec->n_steps)
        return wh_err_set(err, WH_ERR_ARG, "%zu new steps of %zu cannot be scored", spec->n_new, spec->n_steps);
    ticket *t = create_ticket(p, spec);
    size_t *positions = wh_mem_alloc(spec->n_steps, sizeof *positions);
    if (!t || !positions) {
        free_ticket(t);
        free(positions);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory to score %zu steps", spec->n_steps);
    }
    wh_tok_ids ids = {0};
    wh_code code = p->own_engine ? wh_prm_render(p, &ids, positions, spec, err) : take_prefix(p, &ids, positions, spec, err);
    if (code == WH_OK) code = submit(p, t, job, &ids, positions, spec, err);
    if (code != WH_OK) free_ticket(t);
    wh_tok_ids_free(&ids);
    free(positions);
    return code;
}

void wh_prm_cancel(wh_prm *p, wh_job job) { wh_engine_cancel(p->engine, job); }

wh_code wh_prm_step(wh_prm *p, bool *idle, wh_err *err)
{
    ticket *known = p->known; /* a callback may add more: they wait for the next step */
    p->known = NULL;
    if (known) known->link = &known;
    for (ticket *t = known, *next; t; t = next) {
        next = t->next;
        answer(t, &(wh_prm_result){0});
    }
    *idle = !p->known;
    return p->own_engine ? wh_engine_step(p->own_engine, idle, err) : WH_OK;
}

void wh_prm_get_stats(const wh_prm *p, wh_engine_stats *out)
{
    wh_engine_get_stats(p->engine, out);
    out->ledger.head += p->head_flops;
}
