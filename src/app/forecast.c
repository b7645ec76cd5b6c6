#include "app/forecast.h"

wh_code wh_forecast_prm(wh_prm_sizes *out, const wh_prm *prm, bool attached, const char *question, wh_err *err)
{
    *out = (wh_prm_sizes){0};
    if (!prm || attached) return WH_OK;
    /* Two steps of a token each: what lies between their ends, but for that token, is around every step. */
    static const char *const steps[] = {"x", "x"};
    const wh_prm_spec spec = {.question = question, .steps = steps, .n_steps = 2, .n_new = 2};
    wh_tok_ids ids = {0};
    size_t ends[2];
    wh_code code = wh_prm_render(prm, &ids, ends, &spec, err);
    wh_tok_ids_free(&ids);
    WH_TRY(code);
    out->around = ends[1] - ends[0] - 1;
    out->question = ends[0] + 1 > out->around + 1 ? ends[0] - out->around : 0;
    return WH_OK;
}

/* Tokens that a head on the policy still has to compute of an answer: those that end its steps and were drawn but not
 * read. Whole answers go on from all of them but the last. */
static double unread(const wh_strategy *strategy, const wh_costs *costs, double steps)
{
    return costs->in_passing ? 0 : strategy->nested ? 1 : steps;
}

void wh_forecast(double *policy, double *prm, const wh_sizes *sizes, const wh_costs *costs, const wh_strategy *strategy,
                 const wh_params *params)
{
    *policy = *prm = 0;
    if (!sizes->problems || !sizes->samples || !sizes->steps) return;
    double problems = (double)sizes->problems, samples = (double)sizes->samples, steps = (double)sizes->steps / samples;
    double tokens = (double)sizes->tokens / samples;
    const wh_task task = {
        .prompt_tokens = (double)sizes->prompt_tokens / problems,
        .prm_prompt_tokens = (double)sizes->prm_prompt_tokens / problems,
        .answer_tokens = tokens,
        .step_tokens = tokens / steps,
        .prm_answer_tokens = costs->attached ? unread(strategy, costs, steps) : tokens + steps * (double)costs->around,
        .policy = costs->policy,
        .prm = costs->prm,
        .has_prm = costs->has_prm,
    };
    strategy->flops(policy, prm, &task, params);
    *policy *= problems;
    *prm *= problems;
}

static json_t *cost_json(const wh_cost *c)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "body", (json_int_t)c->body, "head", (json_int_t)c->head, "attn_per_key",
                     (json_int_t)c->attn_per_key, "params", (json_int_t)c->params);
}

static wh_cost cost_from_json(const json_t *o)
{
    return (wh_cost){.body = (uint64_t)json_integer_value(json_object_get(o, "body")),
                     .head = (uint64_t)json_integer_value(json_object_get(o, "head")),
                     .attn_per_key = (uint64_t)json_integer_value(json_object_get(o, "attn_per_key")),
                     .params = (uint64_t)json_integer_value(json_object_get(o, "params"))};
}

json_t *wh_costs_json(const wh_costs *c)
{
    return json_pack("{s:s, s:o, s:o, s:b, s:b, s:I}", "record", "costs", "policy", cost_json(&c->policy), "prm",
                     c->has_prm ? cost_json(&c->prm) : json_null(), "attached", c->attached, "in_passing", c->in_passing, "around",
                     (json_int_t)c->around);
}

wh_costs wh_costs_from_json(const json_t *o)
{
    const json_t *prm = json_object_get(o, "prm");
    return (wh_costs){.policy = cost_from_json(json_object_get(o, "policy")),
                      .prm = cost_from_json(prm),
                      .has_prm = json_is_object(prm),
                      .attached = json_is_true(json_object_get(o, "attached")),
                      .in_passing = json_is_true(json_object_get(o, "in_passing")),
                      .around = (uint64_t)json_integer_value(json_object_get(o, "around"))};
}

#define FIELDS(X) X(problems) X(samples) X(prompt_tokens) X(prm_prompt_tokens) X(tokens) X(steps)

json_t *wh_sizes_json(const wh_sizes *s)
{
    json_t *o = json_object();
#define PUT(field) json_object_set_new(o, #field, json_integer((json_int_t)s->field));
    FIELDS(PUT)
#undef PUT
    return o;
}

wh_sizes wh_sizes_from_json(const json_t *o)
{
    wh_sizes s;
#define GET(field) s.field = (uint64_t)json_integer_value(json_object_get(o, #field));
    FIELDS(GET)
#undef GET
    return s;
}

void wh_sizes_add(wh_sizes *to, const wh_sizes *what)
{
#define ADD(field) to->field += what->field;
    FIELDS(ADD)
#undef ADD
}
