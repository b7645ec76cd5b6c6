/* prm_judge: any instruct model asked whether a step is right; the baseline that needs no training.
 *
 *   user: {instructions}\n\nProblem: {question}\n\nStep: {step 1}\n\nIs this step correct?   assistant: Yes
 *   user: Step: {step 2}\n\nIs this step correct?                                            assistant: Yes ...
 *                                        read where each answer is to come: Yes against No
 *
 * A conversation in RLHFlow's manner, earlier steps always shown as right, so that the next step is read on top
 * of it and nothing is read twice. The instructions stand in the user's turn: a system message moves about in some
 * formats (Mistral). Lightman et al. 2023 and Zheng et al. 2023 (LLM as a judge) ask in prose instead; the two
 * logits alone make a probability without generating anything.
 */
#include "base/mem.h"
#include "reward/prm_impl.h"

#include <stdlib.h>

static const char instructions[] =
    "You are a careful mathematics teacher. You are shown a problem, then a student's solution one step at a time. "
    "After each step, answer with one word: Yes if the step is correct, No if it contains a mistake.";

/* All turns into one buffer; ends[i] is where turn i ends. */
static void write_turns(wh_buf *out, size_t *ends, const wh_prm_input *in)
{
    wh_buf_puts(out, instructions);
    wh_buf_puts(out, "\n\nProblem: ");
    wh_buf_put(out, in->question.s, in->question.n);
    wh_buf_puts(out, "\n\n");
    for (size_t i = 0; i < in->n_steps; i++) {
        wh_buf_puts(out, "Step: ");
        wh_buf_put(out, in->steps[i].s, in->steps[i].n);
        wh_buf_puts(out, "\n\nIs this step correct?");
        ends[i] = out->len;
    }
}

static wh_code render(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, wh_err *err)
{
    wh_buf text = {0};
    wh_tok_str *turns = wh_mem_alloc(in->n_steps, sizeof *turns);
    wh_code code = WH_OK;
    write_turns(&text, positions, in); /* positions hold the ends until the turns are known */
    if (!turns || !wh_buf_ok(&text)) {
        code = wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", in->n_steps);
    } else {
        for (size_t i = 0, from = 0; i < in->n_steps; from = positions[i++])
            turns[i] = (wh_tok_str){text.data + from, positions[i] - from};
        code = wh_prm_put_turns(in, ids, positions, turns, "Yes", err);
    }
    free(turns);
    wh_buf_free(&text);
    return code;
}

const wh_prm_kind wh_prm_judge = {
    .about = {"judge", "any instruct model", "Yes against No; see prm_judge.c for the prompt"},
    .good = "Yes",
    .bad = "No",
    .chat = true,
    .render = render,
    .score = wh_prm_of_logits,
};
