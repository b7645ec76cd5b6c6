/* What is seen of a search while it goes on. */
#include "app/solve.h"

#include "app/out.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

bool wh_solve_as_tree(const wh_solve *v) { return strcmp(v->o->show, "tree") == 0; }

/* The node and all above it are the first samples of theirs. */
static bool is_first(const wh_tree *t, uint32_t node)
{
    for (; node; node = t->nodes[node].parent)
        if (t->nodes[node].index != 0) return false;
    return true;
}

static void show_text(wh_solve *v, const wh_event *e)
{
    if (!wh_out_terminal() || v->o->json || !is_first(e->tree, e->node)) return;
    wh_buf plain = {0}; /* a model may write anything, but it does not get to steer the terminal */
    for (size_t i = 0; i < e->text_len; i++)
        if ((unsigned char)e->text[i] >= ' ' || e->text[i] == '\n' || e->text[i] == '\t') wh_buf_putc(&plain, e->text[i]);
    wh_out_note("\033[2m%s\033[0m", wh_buf_str(&plain));
    wh_buf_free(&plain);
    v->streaming = true;
}

static void count_answer(wh_solve *v, const wh_sample *s)
{
    wh_answer a;
    if (wh_answer_parse(&a, s->answer, strlen(s->answer), NULL) != WH_OK) return;
    size_t g = 0;
    while (g < v->n_groups && !wh_answer_equal(&v->groups[g].answer, &a)) g++;
    if (g == v->n_groups && g < WH_SOLVE_GROUPS && !wh_answer_is_empty(&a)) {
        v->groups[v->n_groups++].answer = a;
        snprintf(v->groups[g].text, sizeof v->groups[g].text, "%s", s->answer);
    } else {
        wh_answer_free(&a);
    }
    if (g < v->n_groups) v->groups[g].count++;
}

bool wh_solve_many(const wh_solve *v) { return v->c || v->choice->n_samples > 1; }

/* "7 of 16 samples  42 x5, 40 x2  123 tokens/s" */
static void show_tally(wh_solve *v, const wh_event *e)
{
    if (!wh_out_terminal() || !wh_solve_many(v)) return;
    count_answer(v, e->sample);
    if (v->streaming && is_first(e->tree, e->sample->node)) {
        wh_out_note("\n");
        v->streaming = false;
    }
    if (v->streaming) return;
    wh_buf line = {0};
    size_t above = SIZE_MAX;
    for (int place = 0; place < 3; place++) { /* the three largest */
        size_t best = 0;
        for (size_t g = 0; g < v->n_groups; g++)
            if (v->groups[g].count < above && v->groups[g].count > best) best = v->groups[g].count;
        for (size_t g = 0; best && g < v->n_groups && line.len < 60; g++)
            if (v->groups[g].count == best) wh_buf_printf(&line, "%s%s x%zu", line.len ? ", " : "", v->groups[g].text, best);
        above = best;
    }
    wh_buf of = {0};
    if (!v->c) wh_buf_printf(&of, " of %zu", v->choice->n_samples);
    wh_out_progress("%zu%s samples  %s  %.0f tokens/s", v->finished, wh_buf_str(&of), wh_buf_str(&line),
                    (double)v->tokens / (wh_clock_now() - v->began));
    wh_buf_free(&of);
    wh_buf_free(&line);
}

static bool by_steps(const wh_solve *v) { return v->c ? v->searching : !v->choice->strategy->nested; }

/* "23 steps, 1 solution" of a search that grows solutions step by step */
static void show_steps(wh_solve *v)
{
    if (v->streaming) return;
    wh_out_progress("%zu steps, %zu solution%s  %.1f s", v->steps, v->finished, v->finished == 1 ? "" : "s", wh_clock_now() - v->began);
}

void wh_solve_show(wh_solve *v, const wh_event *e)
{
    if (wh_solve_as_tree(v)) wh_show_tree_event(&v->tree, e);
    else if (e->kind == WH_EVENT_TEXT) show_text(v, e);
    else if (e->kind == WH_EVENT_STEP && by_steps(v)) show_steps(v);
    else if (e->kind == WH_EVENT_SAMPLE && !by_steps(v)) show_tally(v, e);
}
