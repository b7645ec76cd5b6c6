/* tok_gguf: the tokenizer and the chat format of a GGUF file. */
#ifndef WH_TEXT_TOK_GGUF_H
#define WH_TEXT_TOK_GGUF_H

#include "gguf/gguf_read.h"
#include "text/chat.h"
#include "text/tok.h"

/* Read the keys under "tokenizer.ggml." of g and create the tokenizer; g may be closed afterwards.
 * Errors as wh_tok_create; a key of the wrong type is WH_ERR_FORMAT. */
wh_code wh_tok_gguf_create(wh_tok **out, const wh_gguf *g, wh_err *err);

/* The chat format, from tokenizer.chat_template or the vocabulary; tok must outlive it. Errors as
 * wh_chat_create. */
wh_code wh_tok_gguf_create_chat(wh_chat **out, const wh_gguf *g, const wh_tok *tok, wh_err *err);

#endif
