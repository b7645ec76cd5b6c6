/* chat_mistral: <s>[INST] question[/INST] answer</s>
 *
 * There are no roles but these two, taking turns. A system message stands in front of a user message, with
 * an empty line between: the first one before v0.3, the last one from v0.3 on. Before v0.3 "[INST]" is
 * plain text and has spaces on both sides. Token ids equal those of mistral-common's InstructTokenizer v1
 * and v3; the text is that of the Hugging Face templates, in which the space before each piece of text is
 * the one that the SentencePiece tokenizer would put there.
 */
#include "text/chat_impl.h"

#include <string.h>

static wh_code setup(wh_chat *chat, wh_tok_str template_, wh_err *err)
{
    (void)template_;
    (void)err;
    int32_t id = wh_tok_find(chat->tok, "[INST]", 6);
    chat->control_inst = wh_tok_type_of(chat->tok, id) == WH_TOK_CONTROL;
    return WH_OK;
}

static void put_user(const wh_chat *chat, wh_chat_text *out, wh_tok_str system, wh_tok_str text)
{
    if (chat->control_inst) {
        wh_chat_put_marker(out, "[INST]");
        wh_chat_put(out, " ");
    } else {
        wh_chat_put(out, " [INST] ");
    }
    if (system.s) {
        wh_chat_put_str(out, system);
        wh_chat_put(out, "\n\n");
    }
    wh_chat_put_str(out, text);
    if (chat->control_inst) {
        wh_chat_put_marker(out, "[/INST]");
    } else {
        wh_chat_put(out, " [/INST]");
    }
}

static wh_code render(const wh_chat *chat, wh_chat_text *out, const wh_chat_msg *m, size_t n, bool open,
                      wh_err *err)
{
    wh_tok_str system = {NULL, 0};
    size_t     first = n && m[0].role == WH_CHAT_SYSTEM, last_user = first;
    if (first) system = m[0].text;
    for (size_t i = first; i < n; i++) {
        wh_chat_role due = (i - first) % 2 ? WH_CHAT_ASSISTANT : WH_CHAT_USER;
        if (m[i].role != due)
            return wh_err_set(err, WH_ERR_ARG,
                              "message %zu is the %s's, but Mistral's chat format wants the %s's there", i + 1,
                              wh_chat_role_names[m[i].role], wh_chat_role_names[due]);
        if (due == WH_CHAT_USER) last_user = i;
    }
    if (first == n) return wh_err_set(err, WH_ERR_ARG, "Mistral's chat format needs a message of the user");
    if (open && m[n - 1].role == WH_CHAT_ASSISTANT && n - first < 2)
        return wh_err_set(err, WH_ERR_ARG, "Mistral's chat format needs a message of the user before a reply");
    size_t with_system = chat->control_inst ? last_user : first;
    wh_chat_put_token(out, chat, wh_tok_bos(chat->tok));
    for (size_t i = first; i < n; i++) {
        if (m[i].role == WH_CHAT_USER) {
            put_user(chat, out, i == with_system ? system : (wh_tok_str){NULL, 0}, m[i].text);
            continue;
        }
        bool going_on = wh_chat_continues(m, i, n, open);
        if (m[i].text.n || !going_on) wh_chat_put(out, " ");
        wh_chat_put_str(out, m[i].text);
        if (!going_on) wh_chat_put_token(out, chat, wh_tok_eos(chat->tok));
    }
    return WH_OK;
}

const wh_chat_family wh_chat_mistral = {
    .name = "mistral",
    .marker = "[INST]",
    .unless = "<<SYS>>", /* Llama 2: the same marker, another place for the system message */
    .setup = setup,
    .render = render,
    .solve = {.system = WH_CHAT_BOXED, .suffix = ""},
};
