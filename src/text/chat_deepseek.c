/* chat_deepseek: <｜User｜>question<｜Assistant｜>answer<｜end▁of▁sentence｜>
 *
 * A system message follows BOS without any marker; the makers of R1 advise against one, so the solving
 * prompt stands in the user's message. Past replies lose what was thought (up to the last </think>).
 * Later templates open a reply with "<think>\n" themselves; then the text of a reply that is to be
 * continued does not have it.
 */
#include "text/chat_impl.h"

#include <string.h>

#define BAR "\xEF\xBD\x9C" /* U+FF5C, fullwidth vertical line */

static const char user[] = "<" BAR "User" BAR ">", assistant[] = "<" BAR "Assistant" BAR ">";

static wh_code setup(wh_chat *chat, wh_tok_str template_, wh_err *err)
{
    (void)err;
    chat->thinks = wh_chat_contains(template_, "<" BAR "Assistant" BAR "><think>");
    return WH_OK;
}

static void open_reply(const wh_chat *chat, wh_chat_text *out)
{
    wh_chat_put_marker(out, assistant);
    if (!chat->thinks) return;
    wh_chat_put_marker(out, "<think>");
    wh_chat_put(out, "\n");
}

static wh_tok_str without_thoughts(wh_tok_str text)
{
    static const char end[] = "</think>";
    const char       *at;
    while (text.n && (at = memmem(text.s, text.n, end, sizeof end - 1))) {
        size_t skip = (size_t)(at - text.s) + sizeof end - 1;
        text = (wh_tok_str){text.s + skip, text.n - skip};
    }
    return text;
}

static wh_code render(const wh_chat *chat, wh_chat_text *out, const wh_chat_msg *m, size_t n, bool open,
                      wh_err *err)
{
    (void)err;
    wh_chat_put_token(out, chat, wh_tok_bos(chat->tok));
    /* the template keeps the last of several system messages and puts it here, wherever it stood */
    for (size_t i = n; i-- > 0;)
        if (m[i].role == WH_CHAT_SYSTEM) {
            wh_chat_put_str(out, m[i].text);
            break;
        }
    for (size_t i = 0; i < n; i++) {
        if (m[i].role == WH_CHAT_SYSTEM) continue;
        if (wh_chat_continues(m, i, n, open)) {
            open_reply(chat, out);
            wh_chat_put_str(out, m[i].text);
            return WH_OK;
        }
        if (m[i].role == WH_CHAT_USER) {
            wh_chat_put_marker(out, user);
            wh_chat_put_str(out, m[i].text);
        } else {
            wh_chat_put_marker(out, assistant);
            wh_chat_put_str(out, without_thoughts(m[i].text));
            wh_chat_put_token(out, chat, wh_tok_eos(chat->tok));
        }
    }
    if (open) open_reply(chat, out);
    return WH_OK;
}

const wh_chat_family wh_chat_deepseek = {
    .name = "deepseek",
    .marker = "<" BAR "Assistant" BAR ">",
    .setup = setup,
    .render = render,
    .solve = {.system = NULL, .suffix = "\n" WH_CHAT_BOXED},
};
