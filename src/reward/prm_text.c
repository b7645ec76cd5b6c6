/* prm_text: how the kinds write what a PRM reads. Nothing here knows a kind. */
#include "base/mem.h"
#include "reward/prm_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

wh_code wh_prm_put(const wh_prm_input *in, wh_tok_ids *ids, wh_tok_str text, unsigned flags, wh_err *err)
{
    return text.n ? wh_tok_encode(in->tok, ids, text.s, text.n, flags, err) : WH_OK;
}

/* The text of t from byte `from` on, with its markers; the text itself is shared. */
static wh_code tail_of(wh_chat_text *out, const wh_chat_text *t, size_t from, wh_err *err)
{
    *out = (wh_chat_text){.text = {.data = t->text.data + from, .len = t->text.len - from}};
    out->markers = wh_mem_alloc(t->n_markers, sizeof *out->markers);
    if (!out->markers) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a conversation");
    for (size_t i = 0; i < t->n_markers; i++)
        if (t->markers[i].from >= from)
            out->markers[out->n_markers++] = (struct wh_chat_span){t->markers[i].from - from, t->markers[i].to - from};
    return WH_OK;
}

static wh_code put_rest(const wh_prm_input *in, wh_tok_ids *ids, wh_buf *said, const wh_chat_text *text, wh_err *err)
{
    if (text->text.len < said->len || memcmp(wh_buf_str(&text->text), wh_buf_str(said), said->len) != 0)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "the chat format %s does not let a conversation go on where a reply begins",
                          wh_chat_name(in->chat));
    size_t from = said->len;
    wh_chat_text rest = {0};
    wh_buf_put(said, text->text.data + from, text->text.len - from);
    wh_code code = wh_buf_ok(said) ? tail_of(&rest, text, from, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for a conversation");
    if (code == WH_OK) code = wh_chat_encode(in->chat, ids, &rest, err);
    free(rest.markers);
    return code;
}

wh_code wh_prm_put_chat(const wh_prm_input *in, wh_tok_ids *ids, wh_buf *said, const wh_chat_msg *messages, size_t n,
                        wh_err *err)
{
    wh_chat_text text = {0};
    wh_code code = wh_chat_render(in->chat, &text, messages, n, true, err);
    if (code == WH_OK) code = put_rest(in, ids, said, &text, err);
    wh_chat_text_free(&text);
    return code;
}

wh_code wh_prm_put_turns(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, const wh_tok_str *turns,
                         const char *reply, wh_err *err)
{
    wh_buf said = {0};
    wh_chat_msg *m = wh_mem_alloc(2 * in->n_steps, sizeof *m);
    if (!m) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a conversation of %zu turns", in->n_steps);
    wh_code code = WH_OK;
    for (size_t i = 0; code == WH_OK && i < in->n_steps; i++) {
        m[2 * i] = (wh_chat_msg){WH_CHAT_USER, turns[i]};
        m[2 * i + 1] = (wh_chat_msg){WH_CHAT_ASSISTANT, {reply, strlen(reply)}};
        code = wh_prm_put_chat(in, ids, &said, m, 2 * i + 1, err);
        if (code == WH_OK) positions[i] = ids->len - 1;
    }
    free(m);
    wh_buf_free(&said);
    return code;
}

/* e^a / (e^a + e^b) */
static double softmax(double a, double b) { return 1 / (1 + exp(b - a)); }

double wh_prm_of_logits(const float *values, size_t n)
{
    (void)n;
    return softmax((double)values[0], (double)values[1]);
}

double wh_prm_of_head(const float *values, size_t n)
{
    return n == 1 ? softmax((double)values[0], 0) : softmax((double)values[1], (double)values[0]);
}
