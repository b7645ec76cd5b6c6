/* prm_qwen: Qwen2.5-Math-PRM (Zhang et al. 2025, arXiv 2501.07301): Qwen2.5-Math with a two-layer head
 * (d -> d, ReLU, d -> 2).
 *
 *   system: Please reason step by step, ...   user: {question}
 *   assistant: {step 1}<extra_0>{step 2}<extra_0> ...           read at each <extra_0> (151651)
 *
 * Source of the rendering: the model card, and compute-optimal-tts, inference/rm_call.py (process_input) and
 * infer_fns.py (_qwen_infer_fn). What follows the last <extra_0> there cannot change a score and is left out.
 */
#include "reward/prm_impl.h"

static const char system_prompt[] = "Please reason step by step, and put your final answer within \\boxed{}.";

static wh_code render(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, wh_err *err)
{
    const wh_chat_msg prompt[] = {{WH_CHAT_SYSTEM, {system_prompt, sizeof system_prompt - 1}}, {WH_CHAT_USER, in->question}};
    wh_buf said = {0};
    wh_code code = wh_prm_put_chat(in, ids, &said, prompt, 2, err);
    wh_buf_free(&said);
    for (size_t i = 0; code == WH_OK && i < in->n_steps; i++) {
        code = wh_prm_put(in, ids, in->steps[i], 0, err);
        if (code == WH_OK) code = wh_tok_ids_push(ids, in->marker, err);
        positions[i] = ids->len - 1;
    }
    return code;
}

const wh_prm_kind wh_prm_qwen = {
    .about = {"qwen", "Qwen/Qwen2.5-Math-PRM-7B, -72B", "Zhang et al. 2025, arXiv 2501.07301"},
    .marker = "<extra_0>",
    .chat = true,
    .head_layers = 2,
    .head_outputs = 2,
    .render = render,
    .score = wh_prm_of_head,
};
