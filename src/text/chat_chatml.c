/* chat_chatml: <|im_start|>role\n ... <|im_end|>\n
 *
 * Qwen2, Qwen2.5 and SmolLM2 say something as the system when nobody else does; what it is stands in the
 * template as one literal, between "<|im_start|>system\n" and "<|im_end|>". Qwen3 has no such literal.
 * (Qwen3's template also puts an empty <think></think> into the closed reply of a conversation; the open
 * turns that Whet generates from are the same without it.)
 */
#include "base/mem.h"
#include "text/chat_impl.h"

#include <string.h>

/* Undo the escapes of a jinja string literal: \n, and \c for any other c. */
static size_t unescape(char *out, const char *s, size_t n)
{
    size_t made = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\' && i + 1 < n) {
            i++;
            out[made++] = s[i] == 'n' ? '\n' : s[i];
        } else {
            out[made++] = s[i];
        }
    }
    return made;
}

static wh_code setup(wh_chat *chat, wh_tok_str template_, wh_err *err)
{
    static const char front[] = "<|im_start|>system", back[] = "<|im_end|>";
    const char       *end = template_.s + template_.n;
    const char       *at = template_.s;
    while (at && at < end && (at = memmem(at, (size_t)(end - at), front, sizeof front - 1))) {
        at += sizeof front - 1;
        const char *from = at;
        if (from < end && *from == '\n') {
            from += 1; /* a line break in the template */
        } else if (end - from >= 2 && from[0] == '\\' && from[1] == 'n') {
            from += 2; /* an escaped one */
        } else {
            continue;
        }
        const char *to = memmem(from, (size_t)(end - from), back, sizeof back - 1);
        /* a quote would end the literal: then what follows is a message, not a default */
        const char *quote = memchr(from, '\'', (size_t)(end - from));
        if (!to || to == from || (quote && quote < to)) continue;
        chat->default_system = wh_mem_zalloc((size_t)(to - from) + 1, 1);
        if (!chat->default_system) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the default system prompt");
        unescape(chat->default_system, from, (size_t)(to - from));
        return WH_OK;
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
