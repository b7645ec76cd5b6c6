/* prm_skywork: Skywork o1 Open PRM (He et al. 2024): Qwen2.5-Math with a value head (v_head.summary: d -> 1).
 *
 *   <|endoftext|>{question}\n{step 1}\n{step 2}\n ...           read at the "\n" (198) that ends each step
 *
 * A step is one line: its own line breaks become spaces. Question and line break are encoded together, every step
 * by itself and followed by 198 whatever it ends with. Source of the rendering: compute-optimal-tts,
 * inference/rm_call.py (process_input) and infer_fns.py (_skywork_infer_fn, where a special token stands for the
 * line break until the text is encoded).
 */
#include "reward/prm_impl.h"

static wh_code put_line(const wh_prm_input *in, wh_tok_ids *ids, wh_tok_str step, wh_err *err)
{
    wh_buf line = {0};
    wh_buf_put(&line, step.s, step.n);
    if (!wh_buf_ok(&line)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a step of %zu bytes", step.n);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n') line.data[i] = ' ';
    wh_code code = wh_prm_put(in, ids, (wh_tok_str){wh_buf_str(&line), line.len}, 0, err);
    wh_buf_free(&line);
    return code == WH_OK ? wh_tok_ids_push(ids, in->marker, err) : code;
}

static wh_code render(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, wh_err *err)
{
    wh_buf question = {0};
    if (wh_tok_bos(in->tok) < 0)
        return wh_err_set(err, WH_ERR_FORMAT, "tokenizer.ggml.bos_token_id is missing: a Skywork PRM's texts begin with it");
    WH_TRY(wh_tok_ids_push(ids, wh_tok_bos(in->tok), err));
    wh_buf_put(&question, in->question.s, in->question.n);
    wh_buf_putc(&question, '\n');
    wh_code code = wh_buf_ok(&question) ? wh_prm_put(in, ids, (wh_tok_str){question.data, question.len}, 0, err)
                                        : wh_err_set(err, WH_ERR_NOMEM, "no memory for a question of %zu bytes", in->question.n);
    wh_buf_free(&question);
    for (size_t i = 0; code == WH_OK && i < in->n_steps; i++) {
        code = put_line(in, ids, in->steps[i], err);
        positions[i] = ids->len - 1;
    }
    return code;
}

const wh_prm_kind wh_prm_skywork = {
    .about = {"skywork", "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B, -7B", "He et al. 2024, SkyworkAI/skywork-o1-prm-inference"},
    .marker = "\n",
    .head_layers = 1,
    .head_outputs = 1,
    .render = render,
    .score = wh_prm_of_head,
};
