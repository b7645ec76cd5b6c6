/* Run a search on the fake backend and write down everything that happened, for comparison. */
#ifndef SEARCH_RUN_H
#define SEARCH_RUN_H

#include "fake_backend.h"
#include "search/driver.h"

#include <ctype.h>

typedef struct run {
    wh_buf         result; /* one line per sample: "index|end|tokens|scores|answer|text" */
    wh_buf         tree;   /* one line per node: "path|state of things|value|text" in order of path */
    wh_buf         events; /* one letter and a path per event */
    wh_tally      *tally;
    size_t         n_tally, n_samples, n_done, n_unscored, cut_short;
    char           winner[64]; /* by majority, or by `vote` */
    const wh_vote *vote;
    wh_vote_opts   vote_opts;
    wh_ledger      policy, prm, speculative;
    bool           cancelled;
    wh_err         error;
    bool           thinks;    /* as wh_driver_opts */
    uint64_t       cancel_at; /* cancel the problem when so many events have come */
    size_t         n_events;
    wh_driver     *driver;
    /* Called for each event, when set. */
    void (*hook)(struct run *r, const wh_event *e);
    void  *user;
} run;

static void run_path(wh_buf *out, const wh_tree *t, uint32_t node)
{
    if (!node) return;
    run_path(out, t, t->nodes[node].parent);
    wh_buf_printf(out, "%s%u", t->nodes[node].parent ? "/" : "", t->nodes[node].index);
}

static void run_text(wh_buf *out, const char *text)
{
    for (; *text; text++) wh_buf_putc(out, *text == '\n' ? '~' : *text);
}

static void run_tree(wh_buf *out, const wh_tree *t, uint32_t node, bool with_speculative)
{
    const wh_node *n = &t->nodes[node];
    if (node && (with_speculative || n->fate != WH_FATE_SPECULATIVE)) {
        run_path(out, t, node);
        wh_buf_printf(out, "|%s|%s|%.4g|", wh_end_name(n->end), wh_fate_name(n->fate), n->value);
        run_text(out, n->text);
        wh_buf_putc(out, '\n');
    }
    if (with_speculative || n->fate != WH_FATE_SPECULATIVE)
        for (uint32_t i = n->first_child; i; i = t->nodes[i].next) run_tree(out, t, i, with_speculative);
}

static void run_event(void *user, const wh_event *e)
{
    run *r = user;
    wh_buf_putc(&r->events, "!.+#-=$"[e->kind]);
    run_path(&r->events, e->tree, e->node);
    wh_buf_putc(&r->events, ' ');
    if (++r->n_events == r->cancel_at) wh_driver_cancel(r->driver, e->problem);
    if (r->hook) r->hook(r, e);
    if (e->kind != WH_EVENT_DONE) return;
    const wh_result *x = e->result;
    r->n_done++;
    r->n_samples = x->n_samples;
    r->policy = x->policy;
    r->prm = x->prm;
    r->speculative = x->speculative;
    r->cancelled = x->cancelled;
    r->n_unscored = x->n_unscored;
    r->error = x->error;
    for (size_t i = 0; i < x->n_samples; i++) {
        const wh_sample *s = &x->samples[i];
        wh_buf_printf(&r->result, "%zu|%s|%u|", s->index, wh_end_name(s->end), s->tokens);
        for (size_t k = 0; k < s->n_scores; k++) wh_buf_printf(&r->result, "%s%.4g", k ? "," : "", s->scores[k]);
        wh_buf_printf(&r->result, "|%s|", s->answer);
        run_text(&r->result, s->text);
        wh_buf_putc(&r->result, '\n');
    }
    run_tree(&r->tree, e->tree, 0, false);
    wh_tally *t;
    size_t n;
    wh_err err;
    assert(wh_vote_count(&t, &n, r->vote ? r->vote : &wh_vote_majority, &r->vote_opts, x->samples, x->n_samples, &err) ==
           WH_OK);
    snprintf(r->winner, sizeof r->winner, "%s", n ? t[0].answer : "");
    free(t);
}

static void run_free(run *r)
{
    wh_buf_free(&r->result);
    wh_buf_free(&r->tree);
    wh_buf_free(&r->events);
}

/* "beam n=8 temperature=0.5" */
static void run_parse(const wh_strategy **s, wh_params *p, const char *command)
{
    char copy[256], *save = NULL;
    snprintf(copy, sizeof copy, "%s", command);
    char *word = strtok_r(copy, " ", &save);
    *s = wh_strategy_find(word);
    assert(*s);
    wh_param_defaults(p, (*s)->params, (*s)->n_params);
    while ((word = strtok_r(NULL, " ", &save))) {
        char *eq = strchr(word, '=');
        assert(eq);
        *eq = '\0';
        wh_err err;
        if (wh_param_set(p, (*s)->params, (*s)->n_params, word, eq + 1, &err) != WH_OK) {
            fprintf(stderr, "%s\n", err.msg);
            assert(false && "a parameter");
        }
    }
}

static void run_add(run *r, wh_driver *d, const char *command, uint64_t seed)
{
    static const int32_t prompt[] = {'p', 'r', 'o', 'm', 'p', 't'};
    wh_params params;
    wh_problem p = {.question = "question", .prompt = prompt, .n_prompt = 6, .seed = seed, .params = &params, .user = r};
    run_parse(&p.strategy, &params, command);
    r->driver = d;
    wh_err err;
    assert(wh_driver_add(d, NULL, &p, &err) == WH_OK);
}

/* One problem, to its end. r may have its inputs set. */
static wh_code run_one(run *r, fake *f, const char *command, uint64_t seed)
{
    wh_backend backend = fake_open(f);
    wh_driver_opts opts = {.on_event = run_event, .user = r, .thinks = r->thinks};
    wh_driver *d;
    wh_err err;
    assert(wh_driver_create(&d, &backend, &opts, &err) == WH_OK);
    run_add(r, d, command, seed);
    bool idle = false;
    wh_code code = WH_OK;
    while (!idle && code == WH_OK) code = wh_driver_step(d, &idle, &err);
    wh_driver_free(d);
    fake_close(f);
    return code;
}

/* Run a problem on f, which is closed then, with allocation k failing: an error or a result, never a crash or a
 * leak. false: there was no k-th allocation. */
__attribute__((unused)) static bool run_out_of_memory(fake *f, const char *command, bool speculate, long k)
{
    wh_backend backend = fake_open(f);
    wh_driver_opts opts = {.speculate = speculate};
    wh_driver *d = NULL;
    wh_err err = {.code = WH_OK};
    static const int32_t prompt[] = {1, 2, 3};
    wh_params params;
    wh_problem p = {.question = "q", .prompt = prompt, .n_prompt = 3, .params = &params};
    run_parse(&p.strategy, &params, command);
    size_t before = wh_mem_count();
    wh_mem_fail_after(k);
    wh_code code = wh_driver_create(&d, &backend, &opts, &err);
    if (code == WH_OK) code = wh_driver_add(d, NULL, &p, &err);
    bool idle = false;
    while (code == WH_OK && !idle) code = wh_driver_step(d, &idle, &err);
    bool reached = wh_mem_count() - before > (size_t)k;
    wh_mem_fail_after(-1);
    assert_true(code == WH_OK || err.code == WH_ERR_NOMEM);
    wh_driver_free(d);
    fake_close(f);
    return reached;
}

#endif
