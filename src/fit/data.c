#include "fit/data.h"

#include "base/buf.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static void free_sample(wh_fit_sample *s)
{
    free(s->text);
    free(s->ids);
}

static void free_problem(wh_fit_problem *p)
{
    for (size_t i = 0; i < p->n; i++) free_sample(&p->samples[i]);
    free(p->samples);
    free(p->question);
    free(p->gold);
}

void wh_fit_data_free(wh_fit_data *d)
{
    for (size_t i = 0; i < d->n; i++) free_problem(&d->problems[i]);
    free(d->problems);
    free(d->policy_name);
    *d = (wh_fit_data){0};
}

static int by_index(const void *a_, const void *b_)
{
    const wh_fit_sample *a = a_, *b = b_;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* The same problem may have been sampled twice: then its samples decide. */
static int by_hash(const void *a_, const void *b_)
{
    const wh_fit_problem *a = a_, *b = b_;
    int order = memcmp(a->sha256, b->sha256, sizeof a->sha256);
    if (order || !a->n || !b->n) return order;
    return strcmp(a->samples[0].text, b->samples[0].text);
}

wh_code wh_fit_data_finish(wh_fit_data *d, size_t problems, size_t samples, wh_err *err)
{
    for (size_t i = 0; i < d->n; i++) {
        wh_fit_problem *p = &d->problems[i];
        qsort(p->samples, p->n, sizeof *p->samples, by_index);
        while (samples && p->n > samples) free_sample(&p->samples[--p->n]);
    }
    qsort(d->problems, d->n, sizeof *d->problems, by_hash);
    while (problems && d->n > problems) free_problem(&d->problems[--d->n]);
    wh_buf all = {0};
    d->n_samples = d->n_right = 0;
    for (size_t i = 0; i < d->n; i++) {
        wh_fit_problem *p = &d->problems[i];
        wh_buf_printf(&all, "%s\n", p->sha256);
        for (size_t k = 0; k < p->n; k++) {
            char hex[65];
            wh_file_sha256(hex, p->samples[k].text, p->samples[k].text_len);
            wh_buf_printf(&all, "%u %d %s\n", p->samples[k].index, p->samples[k].right, hex);
            d->n_right += p->samples[k].right;
        }
        d->n_samples += p->n;
    }
    if (wh_buf_ok(&all)) wh_file_sha256(d->sha256, wh_buf_str(&all), all.len);
    wh_code code = wh_buf_ok(&all) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", d->n_samples);
    wh_buf_free(&all);
    return code;
}
