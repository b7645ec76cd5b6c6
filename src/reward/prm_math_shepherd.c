/* prm_math_shepherd: Wang et al. 2024, arXiv 2312.08935; a Mistral 7B that was taught to write "+" or "-" for " ки".
 *
 *   {question} {step 1} ки\n{step 2} ки\n ...           read at each ки (12902), + (648) against - (387)
 *
 * Source of the rendering: compute-optimal-tts, inference/rm_call.py (replace_step_tag) and infer_fns.py
 * (_math_shepherd_infer_fn), which encode the whole text at once. No token of a SentencePiece vocabulary spans a
 * line break, nor the space in front of a word, so encoding the pieces gives the same tokens.
 */
#include "reward/prm_impl.h"

static wh_code render(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, wh_err *err)
{
    for (size_t i = 0; i < in->n_steps; i++) {
        wh_buf text = {0};
        if (i == 0) wh_buf_put(&text, in->question.s, in->question.n);
        wh_buf_putc(&text, i == 0 ? ' ' : '\n');
        wh_buf_put(&text, in->steps[i].s, in->steps[i].n);
        wh_code code = wh_buf_ok(&text) ? wh_prm_put(in, ids, (wh_tok_str){text.data, text.len}, i ? WH_TOK_NO_PREFIX : WH_TOK_BOS, err)
                                        : wh_err_set(err, WH_ERR_NOMEM, "no memory for step %zu", i + 1);
        wh_buf_free(&text);
        WH_TRY(code);
        WH_TRY(wh_tok_ids_push(ids, in->marker, err));
        positions[i] = ids->len - 1;
    }
    return WH_OK;
}

const wh_prm_kind wh_prm_math_shepherd = {
    .about = {"math-shepherd", "peiyi9979/math-shepherd-mistral-7b-prm", "Wang et al. 2024, arXiv 2312.08935"},
    .marker = "\xD0\xBA\xD0\xB8",
    .good = "+",
    .bad = "-",
    .render = render,
    .score = wh_prm_of_logits,
};
