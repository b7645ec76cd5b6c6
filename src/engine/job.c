#include "engine/job.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const char *wh_stop_name(wh_stop stop)
{
    static const char *const names[] = {
        [WH_STOP_EOS] = "eos",         [WH_STOP_STRING] = "string", [WH_STOP_LENGTH] = "length",
        [WH_STOP_CONTEXT] = "context", [WH_STOP_LOOP] = "loop",     [WH_STOP_CANCELLED] = "cancelled",
    };
    return (size_t)stop < sizeof names / sizeof names[0] ? names[stop] : "unknown";
}

static wh_code check_prefix(const int32_t *prefix, size_t n, const job_host *host, wh_err *err)
{
    size_t context = host->context, vocab = host->vocab;
    if (n == 0) return wh_err_set(err, WH_ERR_ARG, "the prompt is empty");
    if (n > context)
        return wh_err_set(err, WH_ERR_BUDGET, "the prompt has %zu tokens, but the context holds %zu", n, context);
    for (size_t i = 0; i < n; i++)
        if (prefix[i] < 0 || (size_t)prefix[i] >= vocab)
            return wh_err_set(err, WH_ERR_ARG, "token %zu of the prompt is %d: the vocabulary has %zu", i, prefix[i], vocab);
    return WH_OK;
}

static wh_code no_memory(job **out, job *j, wh_err *err)
{
    job_free(j);
    *out = NULL;
    return wh_err_set(err, WH_ERR_NOMEM, "no memory for a job");
}

static job *create_common(const int32_t *prefix, size_t n, size_t room, const wh_cache *cache)
{
    job *j = wh_mem_zalloc(1, sizeof *j);
    if (!j) return NULL;
    j->tokens = wh_mem_alloc(room, sizeof *j->tokens);
    if (!j->tokens || wh_cache_seq_init(&j->seq, cache, NULL) != WH_OK) {
        job_free(j);
        return NULL;
    }
    memcpy(j->tokens, prefix, n * sizeof *prefix);
    j->n_tokens = j->n_prefix = n;
    return j;
}

static bool copy_stops(job *j, const wh_gen_spec *spec)
{
    j->stops = wh_mem_zalloc(spec->n_stops, sizeof *j->stops);
    if (!j->stops) return false;
    for (; j->n_stops < spec->n_stops; j->n_stops++) {
        size_t n = strlen(spec->stops[j->n_stops]);
        j->stops[j->n_stops] = wh_mem_strndup(spec->stops[j->n_stops], n);
        if (!j->stops[j->n_stops]) return false;
        if (n > j->longest_stop) j->longest_stop = n;
    }
    return true;
}

static wh_code needs_all_layers(const job_host *host, wh_err *err)
{
    if (host->layers == host->model_layers) return WH_OK;
    return wh_err_set(err, WH_ERR_ARG, "only %zu of the %zu blocks are computed: that gives no logits", host->layers, host->model_layers);
}

/* layers NULL: the model's last. */
static wh_code check_layers(const uint32_t *layers, size_t n, const job_host *host, wh_err *err)
{
    if (!layers) return needs_all_layers(host, err);
    if (!n) return wh_err_set(err, WH_ERR_ARG, "no layers whose hidden states are wanted");
    for (size_t i = 0; i < n; i++)
        if (!layers[i] || layers[i] > host->layers || (i && layers[i] <= layers[i - 1]))
            return wh_err_set(err, WH_ERR_ARG, "layer %zu to read is %u: expected ascending layers from 1 to %zu", i, layers[i], host->layers);
    return WH_OK;
}

static bool copy_layers(job *j, const uint32_t *layers, size_t n, const job_host *host)
{
    j->n_layers = layers ? (uint32_t)n : 1;
    j->layers = wh_mem_alloc(j->n_layers, sizeof *j->layers);
    if (!j->layers) return false;
    if (layers) memcpy(j->layers, layers, n * sizeof *layers);
    else j->layers[0] = (uint32_t)host->model_layers;
    return true;
}

static bool add_probe(job *j, const wh_gen_spec *spec, const job_host *host)
{
    const wh_probe *p = spec->probe;
    j->probe = p;
    j->begin = spec->begin;
    j->marks = wh_mem_alloc(j->most - spec->n_prefix + 1, sizeof *j->marks);
    if (!j->marks || !copy_layers(j, p->layers, p->n_layers, host)) return false;
    j->values = wh_mem_alloc(p->n_layers * host->d, sizeof *j->values);
    return j->values != NULL;
}

wh_code job_create_gen(job **out, const wh_gen_spec *spec, const job_host *host, wh_err *err)
{
    enum { BYTES_PER_TOKEN = 8 }; /* a good guess keeps the text from growing while tokens are made */
    *out = NULL;
    WH_TRY(needs_all_layers(host, err));
    WH_TRY(check_prefix(spec->prefix, spec->n_prefix, host, err));
    const wh_sampling *s = &spec->sampling;
    if (!spec->max_tokens) return wh_err_set(err, WH_ERR_ARG, "no tokens to generate (max_tokens is 0)");
    if (!(s->temperature >= 0) || !(s->top_p > 0 && s->top_p <= 1) || !(s->min_p >= 0 && s->min_p <= 1) || s->top_k < 0)
        return wh_err_set(err, WH_ERR_ARG, "temperature %g, top_k %d, top_p %g, min_p %g are not sampling parameters",
                          (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p);
    for (size_t i = 0; i < spec->n_stops; i++)
        if (!spec->stops[i][0]) return wh_err_set(err, WH_ERR_ARG, "a stop string is empty");
    if (spec->probe) WH_TRY(check_layers(spec->probe->layers, spec->probe->n_layers, host, err));
    if (spec->begin > spec->n_prefix)
        return wh_err_set(err, WH_ERR_ARG, "the text begins at token %zu, but the prompt has %zu", spec->begin, spec->n_prefix);

    size_t room = host->context - spec->n_prefix, most = spec->max_tokens < room ? spec->max_tokens : room;
    job *j = create_common(spec->prefix, spec->n_prefix, spec->n_prefix + most + 1, host->cache);
    if (!j) return no_memory(out, j, err);
    if (!copy_stops(j, spec) || !wh_buf_reserve(&j->text, most * BYTES_PER_TOKEN)) return no_memory(out, j, err);
    j->sampling = *s;
    j->stream = spec->stream;
    j->most = spec->n_prefix + most;
    j->most_is_context = most < spec->max_tokens;
    if (spec->probe && !add_probe(j, spec, host)) return no_memory(out, j, err);
    j->ignore_eos = spec->ignore_eos;
    j->loop_guard = spec->loop_guard;
    wh_tok_decode_init(&j->decoder, host->tok, true);
    j->on_text = spec->on_text;
    j->on_done_gen = spec->on_done;
    j->user = spec->user;
    *out = j;
    return WH_OK;
}

wh_code job_create_score(job **out, const wh_score_spec *spec, const job_host *host, wh_err *err)
{
    size_t vocab = host->vocab;
    *out = NULL;
    WH_TRY(spec->what == WH_SCORE_HIDDEN ? check_layers(spec->layers, spec->n_layers, host, err) : needs_all_layers(host, err));
    WH_TRY(check_prefix(spec->prefix, spec->n_prefix, host, err));
    if (!spec->n_positions) return wh_err_set(err, WH_ERR_ARG, "no positions to score");
    size_t limit = spec->n_prefix - (spec->what == WH_SCORE_LOGPROB);
    for (size_t i = 0; i < spec->n_positions; i++)
        if (spec->positions[i] >= limit || (i && spec->positions[i] <= spec->positions[i - 1]))
            return wh_err_set(err, WH_ERR_ARG, "position %zu to score is %zu: expected ascending positions below %zu", i,
                              spec->positions[i], limit);
    if (spec->what == WH_SCORE_LOGITS) {
        if (!spec->n_ids) return wh_err_set(err, WH_ERR_ARG, "no tokens whose logits are wanted");
        for (size_t i = 0; i < spec->n_ids; i++)
            if (spec->ids[i] < 0 || (size_t)spec->ids[i] >= vocab)
                return wh_err_set(err, WH_ERR_ARG, "token %d to score: the vocabulary has %zu", spec->ids[i], vocab);
    }
    job *j = create_common(spec->prefix, spec->n_prefix, spec->n_prefix, host->cache);
    if (!j) return no_memory(out, j, err);
    j->scores = true;
    j->what = spec->what;
    j->n_positions = spec->n_positions;
    if (j->what == WH_SCORE_HIDDEN && !copy_layers(j, spec->layers, spec->n_layers, host)) return no_memory(out, j, err);
    j->width = spec->what == WH_SCORE_LOGITS ? spec->n_ids : spec->what == WH_SCORE_HIDDEN ? j->n_layers * host->d : 1;
    j->positions = wh_mem_alloc(j->n_positions, sizeof *j->positions);
    j->ids = wh_mem_alloc(spec->n_ids, sizeof *j->ids);
    size_t n_values;
    j->values = wh_mem_mul(&n_values, j->n_positions, j->width) ? wh_mem_alloc(n_values, sizeof *j->values) : NULL;
    if (!j->positions || !j->ids || !j->values) return no_memory(out, j, err);
    memcpy(j->positions, spec->positions, j->n_positions * sizeof *j->positions);
    if (spec->what == WH_SCORE_LOGITS) memcpy(j->ids, spec->ids, spec->n_ids * sizeof *j->ids);
    j->on_done_score = spec->on_done;
    j->user = spec->user;
    *out = j;
    return WH_OK;
}

void job_free(job *j)
{
    if (!j) return;
    for (size_t i = 0; i < j->n_stops; i++) free(j->stops[i]);
    free(j->stops);
    free(j->tokens);
    free(j->positions);
    free(j->ids);
    free(j->layers);
    free(j->marks);
    free(j->values);
    wh_buf_free(&j->text);
    wh_cache_seq_free(&j->seq);
    free(j);
}

size_t job_reusable(const job *j)
{
    size_t n = j->n_tokens - 1;
    return j->scores && j->positions[0] < n ? j->positions[0] : n;
}

/* The text ends with one of the stop strings, which may have begun in an earlier token and may be followed by
 * more of the last token; that is cut off. `before`: length of the text before the last token. */
static bool hit_stop_string(job *j, size_t before)
{
    size_t from = before >= j->longest_stop ? before - j->longest_stop + 1 : 0, end = SIZE_MAX;
    if (!j->n_stops || j->text.len == before) return false;
    for (size_t i = 0; i < j->n_stops; i++) {
        size_t n = strlen(j->stops[i]);
        const char *at = memmem(j->text.data + from, j->text.len - from, j->stops[i], n);
        if (at && (size_t)(at - j->text.data) + n < end) end = (size_t)(at - j->text.data) + n;
    }
    if (end == SIZE_MAX) return false;
    j->text.len = end;
    j->text.data[end] = '\0';
    return true;
}

/* The generated tokens end in a pattern of up to LONGEST tokens repeated over a long stretch. A table or a list
 * repeats too, but not the very same tokens eight times over 128 tokens. */
static bool loops(const job *j)
{
    enum { LONGEST = 64, STRETCH = 128, TIMES = 8 };
    const int32_t *end = j->tokens + j->n_tokens;
    size_t n = j->n_tokens - j->n_prefix;
    for (size_t period = 1; period <= LONGEST; period++) {
        size_t need = TIMES * period > STRETCH ? TIMES * period : STRETCH;
        if (n < need) break;
        size_t same = 0;
        while (same < need - period && end[-1 - (ptrdiff_t)same] == end[-1 - (ptrdiff_t)(same + period)]) same++;
        if (same == need - period) return true;
    }
    return false;
}

void job_probe(job *j, int32_t next)
{
    wh_mark *m = &j->marks[j->n_marks];
    if (!j->probe->look(j->probe->ctx, &m->value, j->tokens, j->n_tokens, j->begin, next, j->values)) return;
    m->position = j->n_tokens - 1;
    j->n_marks++;
}

bool job_append(job *j, const wh_tok *tok, int32_t token, double logprob, wh_stop *stop)
{
    enum { LOOK_EVERY = 16 };
    j->logprob += logprob;
    j->ledger.decode_tokens++;
    if (!j->ignore_eos && wh_tok_is_end(tok, token)) {
        *stop = WH_STOP_EOS;
        return true;
    }
    size_t before = j->text.len;
    j->tokens[j->n_tokens++] = token;
    wh_tok_decode_put(&j->decoder, &j->text, token);
    bool string = hit_stop_string(j, before);
    if (j->on_text && j->text.len > before) j->on_text(j->user, j->text.data + before, j->text.len - before);
    if (string) *stop = WH_STOP_STRING;
    else if (j->n_tokens >= j->most) *stop = j->most_is_context ? WH_STOP_CONTEXT : WH_STOP_LENGTH;
    else if (j->loop_guard && j->n_tokens % LOOK_EVERY == 0 && loops(j)) *stop = WH_STOP_LOOP;
    else return false;
    return true;
}

void job_finish(job *j, wh_stop stop)
{
    j->ended = true;
    if (j->scores) {
        wh_score_result r = {.values = j->values,
                             .n_positions = j->n_positions,
                             .width = j->width,
                             .cancelled = stop == WH_STOP_CANCELLED,
                             .ledger = j->ledger};
        if (j->on_done_score) j->on_done_score(j->user, &r);
        return;
    }
    size_t before = j->text.len;
    if (stop != WH_STOP_STRING) wh_tok_decode_end(&j->decoder, &j->text);
    if (j->on_text && j->text.len > before) j->on_text(j->user, j->text.data + before, j->text.len - before);
    wh_gen_result r = {.tokens = j->tokens + j->n_prefix,
                       .n_tokens = j->n_tokens - j->n_prefix,
                       .text = wh_buf_str(&j->text),
                       .text_len = j->text.len,
                       .stop = stop,
                       .logprob = j->logprob,
                       .ledger = j->ledger,
                       .marks = j->marks,
                       .n_marks = j->n_marks,
                       .probe_flops = j->probe ? j->n_marks * j->probe->flops : 0};
    if (j->on_done_gen) j->on_done_gen(j->user, &r);
}
