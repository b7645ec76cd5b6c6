/* chat_chatml: <|im_start|>role\n ... <|im_end|>\n
 *
 * Qwen2, Qwen2.5 and SmolLM2 say something as the system when nobody else does; what it is stands in the
 * template as one literal, between "<|im_start|>system\n" and "<|im_end|>". Qwen3 has no such literal.
 * (Qwen3's template also puts an empty <think></think> into the closed reply of a conversation; the open
 * turns that Whet generates from are the same without it.)
 */
#include "base/mem.h"
#include "text/chat_impl.h"

#include <stdlib.h>
#include <string.h>

/* Copy the literal that begins at s up to "<|im_end|>" and undo its escapes (\n, and \c for any other c).
 * Returns its length, 0 when the quote comes first: then a message follows and not a default. Outside of a
 * jinja expression there is no quote ('{' opens one) and nothing is escaped. */
static size_t read_literal(char *out, const char *s, size_t n, char quote)
{
    static const char end[] = "<|im_end|>";
    size_t            made = 0;
    for (size_t i = 0; i + sizeof end - 1 <= n; i++) {
        if (!memcmp(s + i, end, sizeof end - 1)) return made;
        if (s[i] == quote) return 0;
        if (s[i] == '\\' && quote != '{') {
            i++;
            out[made++] = s[i] == 'n' ? '\n' : s[i];
        } else {
            out[made++] = s[i];
        }
    }
    return 0;
}

static wh_code setup(wh_chat *chat, wh_tok_str template_, wh_err *err)
{
    static const char front[] = "<|im_start|>system";
    if (!template_.n) return WH_OK;
    char *text = wh_mem_zalloc(template_.n + 1, 1);
    if (!text) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the default system prompt");
    const char *at = template_.s, *end = template_.s + template_.n;
    size_t      made = 0;
    while (!made && (at = memmem(at, (size_t)(end - at), front, sizeof front - 1))) {
        char quote = at > template_.s && (at[-1] == '\'' || at[-1] == '"') ? at[-1] : '{';
        at += sizeof front - 1;
        size_t left = (size_t)(end - at);
        size_t line_end = left > 0 && at[0] == '\n' ? 1 : left > 1 && at[0] == '\\' && at[1] == 'n' ? 2 : 0;
        if (line_end) made = read_literal(text, at + line_end, left - line_end, quote);
    }
    text[made] = '\0';
    if (made) {
        chat->default_system = text;
    } else {
        free(text);
    }
    return WH_OK;
}

static void open_turn(wh_chat_text *out, const char *role)
{
    wh_chat_put_marker(out, "<|im_start|>");
    wh_chat_put(out, role);
    wh_chat_put(out, "\n");
}

static void close_turn(wh_chat_text *out)
{
    wh_chat_put_marker(out, "<|im_end|>");
    wh_chat_put(out, "\n");
}

static wh_code render(const wh_chat *chat, wh_chat_text *out, const wh_chat_msg *m, size_t n, bool open,
                      wh_err *err)
{
    (void)err;
    if (chat->default_system && (n == 0 || m[0].role != WH_CHAT_SYSTEM)) {
        open_turn(out, "system");
        wh_chat_put(out, chat->default_system);
        close_turn(out);
    }
    for (size_t i = 0; i < n; i++) {
        open_turn(out, wh_chat_role_names[m[i].role]);
        wh_chat_put_str(out, m[i].text);
        if (wh_chat_continues(m, i, n, open)) return WH_OK;
        close_turn(out);
    }
    if (open) open_turn(out, "assistant");
    return WH_OK;
}

const wh_chat_family wh_chat_chatml = {
    .name = "chatml",
    .marker = "<|im_start|>",
    .setup = setup,
    .render = render,
    .solve = {.system = WH_CHAT_BOXED, .suffix = ""},
};
