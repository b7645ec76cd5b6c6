/* chat: which format, and from marked text to ids. The formats themselves are in chat_<name>.c.
 *
 * The text between two markers is encoded in one piece, as the reference does: what a pre-tokenizer makes
 * of "user\n" depends on the first characters of the message behind it.
 */
#include "text/chat.h"

#include "base/mem.h"
#include "text/chat_impl.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

const char *const wh_chat_role_names[3] = {"system", "user", "assistant"};

static const wh_chat_family *const families[] = {
#define WH_CHAT_X(name, models) &wh_chat_##name,
#include "text/chat.def"
#undef WH_CHAT_X
};

/* ---- which format ----------------------------------------------------------------------------------- */

bool wh_chat_contains(wh_tok_str text, const char *what)
{
    return text.n && memmem(text.s, text.n, what, strlen(what));
}

static bool fits(const wh_chat_family *f, const wh_tok *tok, wh_tok_str template_)
{
    if (!template_.s) return wh_tok_find(tok, f->marker, strlen(f->marker)) >= 0;
    return wh_chat_contains(template_, f->marker) && !(f->unless && wh_chat_contains(template_, f->unless));
}

wh_code wh_chat_create(wh_chat **out, const wh_tok *tok, const char *template_, size_t n, wh_err *err)
{
    wh_tok_str            source = {template_, n};
    const wh_chat_family *family = NULL;
    *out = NULL;
    for (size_t i = 0; !family && i < sizeof families / sizeof families[0]; i++)
        if (fits(families[i], tok, source)) family = families[i];
    if (!family)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s is of no chat format that Whet knows",
                          template_ ? "tokenizer.chat_template"
                                    : "there is no tokenizer.chat_template, and the vocabulary");
    wh_chat *chat = wh_mem_zalloc(1, sizeof *chat);
    if (!chat) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a chat format");
    chat->family = family;
    chat->tok = tok;
    wh_code code = family->setup ? family->setup(chat, source, err) : WH_OK;
    if (code != WH_OK) {
        wh_chat_free(chat);
        return code;
    }
    *out = chat;
    return WH_OK;
}

void wh_chat_free(wh_chat *chat)
{
    if (!chat) return;
    free(chat->default_system);
    free(chat);
}

bool wh_chat_thinks(const wh_chat *chat) { return chat && chat->thinks; }
const char *wh_chat_name(const wh_chat *chat)
{
    return chat->family->name;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

void wh_chat_put_str(wh_chat_text *out, wh_tok_str text)
{
    if (text.n) wh_buf_put(&out->text, text.s, text.n);
}

void wh_chat_put(wh_chat_text *out, const char *text)
{
    wh_buf_puts(&out->text, text);
}

static void put_marker(wh_chat_text *out, wh_tok_str marker)
{
    if (out->n_markers == out->cap_markers) {
        size_t cap = out->cap_markers ? 2 * out->cap_markers : 16;
        void  *markers = wh_mem_resize(out->markers, cap, sizeof *out->markers);
        if (!markers) {
            out->text.failed = true;
            return;
        }
        out->markers = markers;
        out->cap_markers = cap;
    }
    size_t from = out->text.len;
    wh_chat_put_str(out, marker);
    out->markers[out->n_markers++] = (struct wh_chat_span){from, out->text.len};
}

void wh_chat_put_marker(wh_chat_text *out, const char *marker)
{
    put_marker(out, (wh_tok_str){marker, strlen(marker)});
}

void wh_chat_put_token(wh_chat_text *out, const wh_chat *chat, int32_t id)
{
    wh_tok_str spelling = wh_tok_spelling(chat->tok, id);
    if (spelling.n) put_marker(out, spelling);
}

static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

wh_tok_str wh_chat_trim(wh_tok_str text)
{
    size_t from = 0, to = 0, len;
    bool   begun = false;
    for (size_t at = 0; at < text.n; at += len) {
        bool ok = wh_utf8_next(&len, text.s + at, text.n - at) == WH_UTF8_OK;
        if (ok && is_space(wh_utf8_code(text.s + at, len))) continue;
        if (!begun) from = at;
        begun = true;
        to = at + len;
    }
    return begun ? (wh_tok_str){text.s + from, to - from} : (wh_tok_str){"", 0};
}

void wh_chat_text_free(wh_chat_text *text)
{
    wh_buf_free(&text->text);
    free(text->markers);
    *text = (wh_chat_text){0};
}

wh_code wh_chat_render(const wh_chat *chat, wh_chat_text *out, const wh_chat_msg *messages, size_t n, bool open,
                       wh_err *err)
{
    wh_buf_clear(&out->text);
    out->n_markers = 0;
    WH_TRY(chat->family->render(chat, out, messages, n, open, err));
    return wh_buf_ok(&out->text) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory to render %zu messages", n);
}

/* ---- to ids ----------------------------------------------------------------------------------------- */

/* A template writes out the space that "llama" vocabularies put in front of a text: not twice. */
static wh_code encode_text(const wh_chat *chat, wh_tok_ids *ids, const char *s, size_t n, wh_err *err)
{
    if (!n) return WH_OK;
    return wh_tok_encode(chat->tok, ids, s, n, s[0] == ' ' ? WH_TOK_NO_PREFIX : 0, err);
}

wh_code wh_chat_encode(const wh_chat *chat, wh_tok_ids *ids, const wh_chat_text *text, wh_err *err)
{
    const char *s = wh_buf_str(&text->text);
    size_t      plain = 0; /* where the text not yet encoded begins */
    for (size_t i = 0; i < text->n_markers; i++) {
        struct wh_chat_span m = text->markers[i];
        int32_t             id = wh_tok_find(chat->tok, s + m.from, m.to - m.from);
        if (id < 0) continue; /* a model whose vocabulary lacks the marker was trained on it as text */
        WH_TRY(encode_text(chat, ids, s + plain, m.from - plain, err));
        WH_TRY(wh_tok_ids_push(ids, id, err));
        plain = m.to;
    }
    return encode_text(chat, ids, s + plain, text->text.len - plain, err);
}

/* ---- problems --------------------------------------------------------------------------------------- */

wh_chat_solve wh_chat_solve_prompt(const wh_chat *chat)
{
    return chat->family->solve;
}

wh_code wh_chat_encode_problem(const wh_chat *chat, wh_tok_ids *ids, wh_tok_str problem, wh_tok_str so_far,
                               wh_err *err)
{
    wh_chat_solve solve = chat->family->solve;
    wh_buf        user = {0};
    wh_chat_text  text = {0};
    wh_code       code = WH_OK;
    if (problem.n) wh_buf_put(&user, problem.s, problem.n);
    wh_buf_puts(&user, solve.suffix);
    wh_chat_msg messages[3];
    size_t      n = 0;
    if (solve.system) messages[n++] = (wh_chat_msg){WH_CHAT_SYSTEM, {solve.system, strlen(solve.system)}};
    messages[n++] = (wh_chat_msg){WH_CHAT_USER, {wh_buf_str(&user), user.len}};
    messages[n++] = (wh_chat_msg){WH_CHAT_ASSISTANT, so_far};
    if (!wh_buf_ok(&user)) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for a problem of %zu bytes", problem.n);
    if (code == WH_OK) code = wh_chat_render(chat, &text, messages, n, true, err);
    if (code == WH_OK) code = wh_chat_encode(chat, ids, &text, err);
    wh_chat_text_free(&text);
    wh_buf_free(&user);
    return code;
}
