#include "reward/difficulty.h"

#include "base/mem.h"
#include "reward/prm_impl.h"

#include <math.h>
#include <stdlib.h>

/* A question that was not answered yet. */
typedef struct question {
    wh_difficulty   *d;
    struct question *next, **link; /* link: what points here */
    void (*on_done)(void *, double);
    void *user;
} question;

struct wh_difficulty {
    wh_prm_head_use use;
    wh_prm_mlp     *net;
    question       *open;
};

static wh_code read_head(wh_difficulty *d, const wh_gguf *g, const char *path, const wh_model *model, wh_par *par, wh_err *err)
{
    WH_TRY(wh_prm_head_check(&d->use, g, WH_PRM_HEAD_OF_PROMPT, path, model, err));
    return wh_prm_mlp_read(&d->net, g, d->use.n_layers * model->config.d, model->kern, par, err);
}

wh_code wh_difficulty_open(wh_difficulty **out, const char *head, const char *path, const wh_model *model, wh_par *par, wh_err *err)
{
    *out = NULL;
    wh_gguf *g;
    WH_TRY(wh_gguf_open(&g, head, err));
    wh_difficulty *d = wh_mem_zalloc(1, sizeof *d);
    wh_code code = d ? wh_gguf_inflate(g, par, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for a head");
    if (code == WH_OK) code = read_head(d, g, path, model, par, err);
    if (code != WH_OK) wh_err_wrap(err, "%s", head);
    wh_gguf_close(g);
    if (code == WH_OK) *out = d;
    else wh_difficulty_free(d);
    return code;
}

static void free_question(question *q)
{
    *q->link = q->next;
    if (q->next) q->next->link = q->link;
    free(q);
}

void wh_difficulty_free(wh_difficulty *d)
{
    if (!d) return;
    for (question *q = d->open, *next; q; q = next) {
        next = q->next;
        free(q);
    }
    wh_prm_mlp_free(d->net);
    free(d);
}

size_t   wh_difficulty_layers(const wh_difficulty *d) { return d->use.layers[d->use.n_layers - 1]; }
uint64_t wh_difficulty_flops(const wh_difficulty *d) { return wh_prm_mlp_flops(d->net); }

static void on_values(void *user, const wh_score_result *r)
{
    question *q = user, done = *q;
    double pass = NAN;
    if (!r->cancelled) pass = wh_prm_of_head(wh_prm_mlp_run(q->d->net, r->values), wh_prm_mlp_outputs(q->d->net));
    free_question(q);
    done.on_done(done.user, pass);
}

wh_code wh_difficulty_ask(wh_difficulty *d, wh_engine *engine, const int32_t *prompt, size_t n, void (*on_done)(void *user, double pass),
                          void *user, wh_err *err)
{
    question *q = wh_mem_alloc(1, sizeof *q);
    if (!q) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a question");
    *q = (question){d, d->open, &d->open, on_done, user};
    if (q->next) q->next->link = &q->next;
    d->open = q;
    const size_t last = n - 1;
    const wh_score_spec spec = {.prefix = prompt, .n_prefix = n, .positions = &last, .n_positions = n ? 1 : 0, .what = WH_SCORE_HIDDEN,
                                .layers = d->use.layers, .n_layers = d->use.n_layers, .on_done = on_values, .user = q};
    wh_code code = wh_engine_score(engine, NULL, &spec, err);
    if (code != WH_OK) free_question(q);
    return code;
}
