#include "plan/replay.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One problem in one run. */
typedef struct course {
    const wh_bank_problem *p;
    const wh_bank         *bank;
    wh_view                view;
    wh_seen                seen[WH_PLAN_MOST];
    int32_t                origin[WH_PLAN_MOST]; /* of the groups as numbered here: in the bank */
    bool                   right[WH_PLAN_MOST];  /* that group's answer */
    uint16_t               order[WH_PLAN_MOST];
    size_t                 drawn;  /* samples of the order used */
    double                 policy, prm;
    wh_why                 why;
} course;

static void shuffle(course *c, uint64_t seed, uint64_t stream)
{
    size_t n = c->p->n < WH_PLAN_MOST ? c->p->n : WH_PLAN_MOST;
    for (size_t i = 0; i < n; i++) c->order[i] = (uint16_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t k = wh_rng_u64(seed, stream, i) % i;
        uint16_t t = c->order[i - 1];
        c->order[i - 1] = c->order[k];
        c->order[k] = t;
    }
}

static double mean_prm(const wh_bank_problem *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) sum += p->samples[i].prm_flops;
    return p->n ? sum / (double)p->n : 0;
}

static void begin(course *c, const wh_bank *bank, size_t problem, const wh_replay_spec *spec, const wh_outlook *outlook, size_t order)
{
    const wh_bank_problem *p = &bank->problems[problem];
    c->p = p;
    c->bank = bank;
    c->drawn = 0;
    c->policy = c->prm = 0;
    shuffle(c, spec->seed, (uint64_t)order << 32 | problem);
    c->view = (wh_view){
        .seen = c->seen,
        .most = p->n < WH_PLAN_MOST ? p->n : WH_PLAN_MOST,
        .can_score = bank->scored && spec->vote->needs_scores,
        .scoring = spec->policy->whole_set && bank->scored && spec->vote->needs_scores,
        .can_search = p->n_runs > 0,
        .budget = spec->budget,
        .tokens_left = INFINITY,
        .task = {.prompt_tokens = p->prompt_tokens, .answer_tokens = 1, .step_tokens = 1, .policy = bank->cost},
        .prompt_pass = p->prompt_pass,
        .belief = wh_outlook_belief(outlook, p->prompt_pass),
        .profile = spec->profile,
    };
}

static void expect(course *c)
{
    wh_view_expect(&c->view);
    if (c->view.can_score) c->view.score = mean_prm(c->p);
}

static void spend(course *c, double policy, double prm)
{
    c->policy += policy;
    c->prm += prm;
    c->view.spent += policy + prm;
}

/* A sample of the bank becomes the next that was seen; limit: of its tokens. */
static void see(course *c, const wh_bank_sample *s, uint32_t limit, const wh_vote_opts *opts)
{
    wh_view *v = &c->view;
    wh_seen *x = &c->seen[v->n++];
    *x = (wh_seen){.group = -1, .tokens = s->tokens, .scored = s->scores != NULL, .score = wh_aggregate_scores(opts->aggregate, s->scores, s->n_scores)};
    if (s->tokens > limit) x->tokens = limit; /* cut off: no answer */
    else if (s->group >= 0) {
        int32_t g = 0;
        while (g < (int32_t)v->n_groups && c->origin[g] != s->group) g++;
        if (g == (int32_t)v->n_groups) {
            c->origin[v->n_groups] = s->group;
            c->right[v->n_groups++] = false;
        }
        c->right[g] = c->right[g] || s->right;
        x->group = g;
    }
}

static void draw(course *c, uint32_t limit, const wh_vote_opts *opts)
{
    const wh_bank_sample *s = &c->p->samples[c->order[c->drawn++]];
    see(c, s, limit, opts);
    c->seen[c->view.n - 1].scored &= c->view.scoring;
    spend(c, s->tokens > limit ? wh_view_cost(&c->view, limit) : s->flops, c->view.scoring ? s->prm_flops : 0);
}

static void search(course *c, const wh_action *a, const wh_vote_opts *opts)
{
    const wh_bank_run *best = NULL;
    for (size_t i = 0; i < c->p->n_runs; i++) {
        const wh_bank_run *r = &c->p->runs[i];
        const json_t *about = c->bank->searches[r->search];
        const char *name = json_string_value(json_object_get(about, "strategy"));
        if (name && strcmp(name, a->strategy->name) == 0 && (!best || (best->n > a->n && r->n < best->n) || (r->n <= a->n && r->n > best->n)))
            best = r;
    }
    c->view.searched = true;
    if (!best) return;
    for (size_t i = 0; i < best->n && c->view.n < WH_PLAN_MOST; i++) see(c, &best->samples[i], UINT32_MAX, opts);
    spend(c, best->flops, best->prm_flops);
}

/* true: it goes on. */
static bool act(course *c, const wh_action *a, const wh_vote_opts *opts)
{
    if (c->policy == 0 && a->what != WH_DO_STOP) spend(c, c->p->prompt_flops, 0);
    switch (a->what) {
    case WH_DO_SAMPLE: {
        wh_limits l = wh_policy_limits(&c->view, a, UINT32_MAX / 2);
        for (size_t i = 0; i < l.n; i++) draw(c, i ? l.others : l.first, opts);
        break;
    }
    case WH_DO_SCORE:
        c->view.scoring = true;
        for (size_t i = 0; i < c->view.n; i++) {
            const wh_bank_sample *s = &c->p->samples[c->order[i]];
            if (!c->seen[i].scored) spend(c, 0, s->prm_flops);
            c->seen[i].scored = s->scores != NULL;
        }
        break;
    case WH_DO_SEARCH: search(c, a, opts); break;
    case WH_DO_STOP: c->why = a->why; return false;
    }
    expect(c);
    return true;
}

/* Does the vote elect a right answer? */
static bool elect(const course *c, const wh_replay_spec *spec)
{
    wh_tally tally[WH_PLAN_MOST];
    const wh_view *v = &c->view;
    bool all = true;
    for (size_t i = 0; i < v->n; i++) all = all && v->seen[i].scored;
    const wh_vote *vote = spec->vote->needs_scores && !all ? &wh_vote_majority : spec->vote;
    memset(tally, 0, v->n_groups * sizeof *tally);
    for (size_t i = 0; i < v->n; i++) {
        if (v->seen[i].group < 0) continue;
        wh_tally *t = &tally[v->seen[i].group];
        if (!t->count++) t->since = i;
        vote->add(t, i, v->seen[i].score, v->n_groups, &spec->vote_opts);
    }
    size_t best = 0;
    for (size_t g = 1; g < v->n_groups; g++)
        if (tally[g].weight > tally[best].weight || (tally[g].weight == tally[best].weight && tally[g].since < tally[best].since)) best = g;
    return v->n_groups && c->right[best];
}

static wh_outcome finish(const course *c, const wh_replay_spec *spec)
{
    return (wh_outcome){.right = elect(c, spec), .why = (uint8_t)c->why, .n = (uint16_t)c->view.n, .policy = c->policy, .prm = c->prm};
}

static void run_alone(wh_outcome *out, course *c, const wh_bank *bank, const wh_replay_spec *spec, const wh_outlook *outlook, size_t order)
{
    for (size_t i = 0; i < bank->n; i++) {
        begin(c, bank, i, spec, outlook, order);
        expect(c);
        /* The prompt is paid before the first sample, so it counts when that is decided. */
        wh_action a;
        do {
            wh_view v = c->view;
            if (c->policy == 0) v.spent += c->p->prompt_flops;
            wh_policy_decide(&a, spec->policy, &v, spec->params);
        } while (act(c, &a, &spec->vote_opts));
        out[i] = finish(c, spec);
    }
}

typedef struct set_run {
    course      *courses;
    wh_allotted *list;
    wh_pick     *picks;
} set_run;

static void run_set(wh_outcome *out, set_run *s, const wh_bank *bank, const wh_replay_spec *spec, const wh_outlook *outlook, size_t order)
{
    double left = spec->budget * (double)bank->n;
    size_t n_picks;
    for (size_t i = 0; i < bank->n; i++) {
        begin(&s->courses[i], bank, i, spec, outlook, order);
        expect(&s->courses[i]);
        s->list[i] = (wh_allotted){.view = s->courses[i].view, .first = bank->problems[i].prompt_flops};
        s->courses[i].why = WH_WHY_BUDGET;
    }
    for (;;) {
        wh_allot_wave(s->picks, &n_picks, s->list, bank->n, left, spec->policy, spec->params);
        if (!n_picks) break;
        for (size_t k = 0; k < n_picks; k++) {
            const wh_pick *p = &s->picks[k];
            course *c = &s->courses[p->problem];
            double before = c->view.spent;
            c->view.budget = before + p->share;
            act(c, &p->action, &spec->vote_opts);
            left -= c->view.spent - before;
            s->list[p->problem] = (wh_allotted){.view = c->view};
        }
    }
    for (size_t i = 0; i < bank->n; i++) out[i] = finish(&s->courses[i], spec);
}

wh_code wh_replay(wh_outcome *out, const wh_bank *bank, const wh_replay_spec *spec, wh_err *err)
{
    size_t n = spec->policy->whole_set ? bank->n : 1;
    set_run s = {wh_mem_zalloc(n, sizeof *s.courses), wh_mem_zalloc(n, sizeof *s.list), wh_mem_zalloc(n, sizeof *s.picks)};
    wh_outlook outlook = {0};
    wh_code code = s.courses && s.list && s.picks ? wh_outlook_create(&outlook, spec->profile, bank->prompted, err)
                                                            : wh_err_set(err, WH_ERR_NOMEM, "no memory to replay %zu problems", n);
    for (size_t r = 0; code == WH_OK && r < spec->orders; r++) {
        if (spec->policy->whole_set) run_set(out + r * bank->n, &s, bank, spec, &outlook, r);
        else run_alone(out + r * bank->n, s.courses, bank, spec, &outlook, r);
    }
    wh_outlook_free(&outlook);
    free(s.courses);
    free(s.list);
    free(s.picks);
    return code;
}
