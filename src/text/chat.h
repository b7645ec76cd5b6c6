/* chat: a conversation as the token ids a model was trained on.
 *
 * A format is recognised, in the order of chat.def,
 *   1. by tokenizer.chat_template: the format whose marker occurs in it
 *   2. without a template, by the vocabulary: the format whose marker is one of its tokens
 * The template itself is never run; details that differ within a family (Qwen's default system prompt, the
 * date header of Llama 3.1, R1's opening <think>) are read off it. What is rendered equals what the
 * template gives through jinja2 (tests/golden/tok_chat.json).
 *
 * Only the markers of the format become control tokens. The text of a message is ordinary text whatever
 * it contains: nobody can close their turn and open a system turn by typing "<|im_end|>". (Mistral's
 * format before v0.3 has no such tokens; "[INST]" is text there and can be imitated.)
 */
#ifndef WH_TEXT_CHAT_H
#define WH_TEXT_CHAT_H

#include "text/tok.h"

typedef enum { WH_CHAT_SYSTEM, WH_CHAT_USER, WH_CHAT_ASSISTANT } wh_chat_role;

typedef struct wh_chat_msg {
    wh_chat_role role;
    wh_tok_str   text; /* any bytes */
} wh_chat_msg;

typedef struct wh_chat wh_chat;

/* The format of a model. template_: tokenizer.chat_template, n bytes; NULL when the file has none. tok is
 * borrowed and must outlive the chat. WH_ERR_UNSUPPORTED: no format of chat.def fits. */
wh_code     wh_chat_create(wh_chat **out, const wh_tok *tok, const char *template_, size_t n, wh_err *err);
void        wh_chat_free(wh_chat *chat);
const char *wh_chat_name(const wh_chat *chat); /* as in chat.def */
bool        wh_chat_thinks(const wh_chat *chat); /* it opens a reply with <think>; false for NULL */

/* A rendered conversation: text, and where in it the markers are. Starts as {0}. */
typedef struct wh_chat_text {
    wh_buf text;
    struct wh_chat_span {
        size_t from, to;
    }     *markers;
    size_t n_markers, cap_markers;
} wh_chat_text;

void wh_chat_text_free(wh_chat_text *text);

/* Render messages[0..n) into out (cleared first).
 *
 * open = false: every turn is closed, as for training or scoring.
 * open = true: it is the assistant's turn. If the last message is the assistant's, the model is to go on
 *   writing it: its text is used byte for byte and the turn is left open (the continuation format of Liu
 *   et al. 2025, inference/text_generation.py: template without generation prompt, trailing end token
 *   removed). Otherwise a new turn is opened; an empty last message does the same.
 *
 * WH_ERR_ARG: a sequence of roles that the format cannot express. */
wh_code wh_chat_render(const wh_chat *chat, wh_chat_text *out, const wh_chat_msg *messages, size_t n, bool open,
                       wh_err *err);

/* Append the ids of a rendered conversation to ids: markers by name, all else as plain text. BOS is among
 * the markers where the format has it. */
wh_code wh_chat_encode(const wh_chat *chat, wh_tok_ids *ids, const wh_chat_text *text, wh_err *err);

/* A text without the white space at its ends, as Python's str.strip() (and jinja's trim) defines it. */
wh_tok_str wh_chat_trim(wh_tok_str text);

/* What the paper's code says to a policy so that it solves a problem (method of Liu et al. 2025,
 * evaluate.py cot_prompt_dict). */
typedef struct wh_chat_solve {
    const char *system; /* NULL: no system message */
    const char *suffix; /* behind the problem, in the user's message */
} wh_chat_solve;

wh_chat_solve wh_chat_solve_prompt(const wh_chat *chat);

/* All of it: the solving prompt, the problem, and the solution so far (perhaps empty), to be continued. */
wh_code wh_chat_encode_problem(const wh_chat *chat, wh_tok_ids *ids, wh_tok_str problem, wh_tok_str so_far,
                               wh_err *err);

/* Without white space at its ends, as Python's str.strip(). */
wh_tok_str wh_chat_trim(wh_tok_str text);

#endif
