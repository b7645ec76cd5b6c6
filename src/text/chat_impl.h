/* chat_impl: what a chat_<name>.c provides, and what it writes with. */
#ifndef WH_TEXT_CHAT_IMPL_H
#define WH_TEXT_CHAT_IMPL_H

#include "text/chat.h"

typedef struct wh_chat_family {
    const char *name;
    /* The token that only this format has; a template with it is of this format, unless it has the other too. */
    const char *marker, *unless;
    /* Read the variant off the template (NULL: none); may be NULL. */
    wh_code (*setup)(wh_chat *chat, wh_tok_str template_, wh_err *err);
    /* Write the conversation. Running out of memory shows in out->text and is checked by the caller. */
    wh_code (*render)(const wh_chat *chat, wh_chat_text *out, const wh_chat_msg *messages, size_t n, bool open,
                      wh_err *err);
    wh_chat_solve solve;
} wh_chat_family;

#define WH_CHAT_X(name, models) extern const wh_chat_family wh_chat_##name;
#include "text/chat.def"
#undef WH_CHAT_X

struct wh_chat {
    const wh_chat_family *family;
    const wh_tok         *tok;
    char                 *default_system; /* chatml: said when no system message is given; NULL: none */
    bool                  dated;          /* llama3: the system turn begins with the dates of Llama 3.1 */
    bool                  thinks;         /* deepseek: a reply is opened with <think> */
    bool                  control_inst;   /* mistral: [INST] is a control token (v0.3) */
};

#define WH_CHAT_BOXED "Please reason step by step, and put your final answer within \\boxed{}."

extern const char *const wh_chat_role_names[3]; /* "system", "user", "assistant" */

void wh_chat_put_marker(wh_chat_text *out, const char *marker);
void wh_chat_put_token(wh_chat_text *out, const wh_chat *chat, int32_t id); /* a marker by id; < 0: nothing */
void wh_chat_put(wh_chat_text *out, const char *text);
void wh_chat_put_str(wh_chat_text *out, wh_tok_str text);

bool wh_chat_contains(wh_tok_str text, const char *what);
/* Whether message i is the one to be continued. */
static inline bool wh_chat_continues(const wh_chat_msg *m, size_t i, size_t n, bool open)
{
    return open && i + 1 == n && m[i].role == WH_CHAT_ASSISTANT;
}

#endif
