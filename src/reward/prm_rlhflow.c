/* prm_rlhflow: Xiong et al. 2024, RLHFlow/RLHF-Reward-Modeling (math-rm): Llama 3.1 8B, taught to answer "+" or "-"
 * to each step.
 *
 *   user: {question} {step 1}   assistant: +   user: {step 2}   assistant: +  ...
 *                                            read where the "+" is to come: + (10) against - (12)
 *
 * Earlier steps are always shown as right. Two models, by the generator of their training data; they are read in
 * the same way. Source of the rendering: compute-optimal-tts, inference/rm_call.py (process_input) and infer_fns.py
 * (_rlhflow_mistral_infer_fn). Whether the conversation opens with Llama 3.1's system turn is the file's template's
 * to say.
 */
#include "base/mem.h"
#include "reward/prm_impl.h"

#include <stdlib.h>

static wh_code render(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, wh_err *err)
{
    wh_buf first = {0};
    wh_tok_str *turns = wh_mem_alloc(in->n_steps, sizeof *turns);
    wh_buf_put(&first, in->question.s, in->question.n);
    wh_buf_putc(&first, ' ');
    wh_buf_put(&first, in->steps[0].s, in->steps[0].n);
    wh_code code = WH_OK;
    if (!turns || !wh_buf_ok(&first)) {
        code = wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", in->n_steps);
    } else {
        turns[0] = (wh_tok_str){first.data, first.len};
        for (size_t i = 1; i < in->n_steps; i++) turns[i] = in->steps[i];
        code = wh_prm_put_turns(in, ids, positions, turns, "+", err);
    }
    wh_buf_free(&first);
    free(turns);
    return code;
}

#define SOURCE "Xiong et al. 2024, RLHFlow/RLHF-Reward-Modeling, math-rm"

const wh_prm_kind wh_prm_rlhflow_mistral = {
    .about = {"rlhflow-mistral", "RLHFlow/Llama3.1-8B-PRM-Mistral-Data", SOURCE},
    .good = "+",
    .bad = "-",
    .chat = true,
    .render = render,
    .score = wh_prm_of_logits,
};
const wh_prm_kind wh_prm_rlhflow_deepseek = {
    .about = {"rlhflow-deepseek", "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", SOURCE},
    .good = "+",
    .bad = "-",
    .chat = true,
    .render = render,
    .score = wh_prm_of_logits,
};
