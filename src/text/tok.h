/* tok: text to token ids and back, exactly as the model was trained.
 *
 * Two kinds of vocabulary, told apart by tokenizer.ggml.model:
 *   "gpt2"   byte-level BPE (Radford et al. 2019): the text is cut into words by the regular expression
 *            that tokenizer.ggml.pre names (tok_pre.def), the bytes of a word are merged by rank
 *   "llama"  SentencePiece BPE (Kudo and Richardson 2018): characters are merged by score, what is in
 *            no token falls back to byte tokens
 *
 * Plain text never yields a control token: "<|im_end|>" typed by a user is seven ordinary tokens or so
 * unless WH_TOK_SPECIAL is given. Tokens written <|...|> or <｜...｜> count as control tokens whatever
 * type the file gives them (DeepSeek-R1-Distill files call their role markers "user defined"). Other
 * user-defined tokens (<think>, <tool_call>) are recognised always, as the reference tokenizers do.
 *
 * Bytes that are not UTF-8 survive: encoding then decoding any bytes gives the same bytes, in both kinds
 * (llama.cpp replaces them by U+FFFD; the Hugging Face tokenizers cannot be given them). No Unicode
 * normalisation happens: a GGUF file does not record one, and llama.cpp does none; Qwen's Hugging Face
 * tokenizer applies NFC first, so text that is not in NFC gets other ids there.
 *
 * A wh_tok is immutable after creation and may be used by many threads at once.
 */
#ifndef WH_TEXT_TOK_H
#define WH_TEXT_TOK_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wh_tok wh_tok;

/* Values of tokenizer.ggml.token_type. */
typedef enum {
    WH_TOK_NORMAL = 1,
    WH_TOK_UNKNOWN = 2,
    WH_TOK_CONTROL = 3,
    WH_TOK_USER_DEFINED = 4,
    WH_TOK_UNUSED = 5,
    WH_TOK_BYTE = 6,
} wh_tok_type;

typedef struct wh_tok_str {
    const char *s;
    size_t      n;
} wh_tok_str;

/* A vocabulary as a file gives it; borrowed for the time of wh_tok_create. Fields are named like the
 * keys under "tokenizer.ggml.". wh_tok_vocab_init sets everything to "the file does not say". */
typedef struct wh_tok_vocab {
    const char       *model, *pre; /* NULL: absent */
    const wh_tok_str *tokens;
    size_t            n_tokens;
    const int32_t    *types; /* NULL: all normal */
    size_t            n_types;
    const float      *scores; /* required for "llama" */
    size_t            n_scores;
    const wh_tok_str *merges; /* "left right"; required for "gpt2" */
    size_t            n_merges;
    int64_t           bos, eos, eot, unk;                 /* ids; -1: absent */
    int               add_bos, add_eos, add_space_prefix; /* 0, 1; -1: absent */
} wh_tok_vocab;

void wh_tok_vocab_init(wh_tok_vocab *v);

/* Checks everything it reads. WH_ERR_FORMAT (broken), WH_ERR_UNSUPPORTED (unknown model or pre) with a
 * sentence that names the key; WH_ERR_NOMEM. *out is NULL on failure. */
wh_code wh_tok_create(wh_tok **out, const wh_tok_vocab *v, wh_err *err);
void    wh_tok_free(wh_tok *tok);

/* A growing list of ids; starts as {0}, free with wh_tok_ids_free. */
typedef struct wh_tok_ids {
    int32_t *data;
    size_t   len, cap;
} wh_tok_ids;

wh_code wh_tok_ids_push(wh_tok_ids *ids, int32_t id, wh_err *err);
void    wh_tok_ids_free(wh_tok_ids *ids);

enum {
    WH_TOK_SPECIAL = 1,  /* recognise control tokens in the text */
    WH_TOK_BOS = 2,      /* put BOS in front and EOS behind where the file asks for it */
    WH_TOK_NO_PREFIX = 4 /* the text goes on where other text ended: no space is put in front ("llama") */
};

/* Append the ids of text (n bytes, any bytes, n < 2^31) to ids. Time O(n log n) for every text.
 * On failure ids keeps what it had. */
wh_code wh_tok_encode(const wh_tok *tok, wh_tok_ids *ids, const char *text, size_t n, unsigned flags, wh_err *err);

/* The bytes of a token: what it adds to a text. For a control token its name. Not a C string; valid as
 * long as tok. Empty for an id out of range. */
wh_tok_str wh_tok_piece(const wh_tok *tok, int32_t id);
/* The token as the vocabulary spells it ("Ġthe", "▁the", "<0x0A>"). */
wh_tok_str wh_tok_spelling(const wh_tok *tok, int32_t id);
/* The id of a token by its spelling, -1 when there is none. */
int32_t wh_tok_find(const wh_tok *tok, const char *spelling, size_t n);

/* Append the bytes of n tokens to out; control tokens only with WH_TOK_SPECIAL. Exact, hence perhaps not
 * UTF-8; for "llama" the space put in front of a text by encoding is still there. */
void wh_tok_decode(const wh_tok *tok, wh_buf *out, const int32_t *ids, size_t n, unsigned flags);

/* Streaming: one token at a time, and what comes out is always whole UTF-8. A character spread over
 * tokens is held back until it is complete; bytes that can never become a character give U+FFFD.
 * Control tokens give nothing. */
typedef struct wh_tok_decoder {
    const wh_tok *tok;
    char          held[4];
    size_t        n_held;
    bool          drop_space; /* the first space is the one that encoding would put there */
} wh_tok_decoder;

/* at_start: the tokens begin a text (a reply), so that the space "llama" vocabularies put in front of
 * a text is not part of it. */
void wh_tok_decode_init(wh_tok_decoder *d, const wh_tok *tok, bool at_start);
void wh_tok_decode_put(wh_tok_decoder *d, wh_buf *out, int32_t id);
void wh_tok_decode_end(wh_tok_decoder *d, wh_buf *out); /* what was held back: U+FFFD; ready for another text */

size_t      wh_tok_count(const wh_tok *tok);
wh_tok_type wh_tok_type_of(const wh_tok *tok, int32_t id); /* WH_TOK_UNKNOWN for an id out of range */
int32_t     wh_tok_bos(const wh_tok *tok);                 /* -1: none */
int32_t     wh_tok_eos(const wh_tok *tok);                 /* -1: none */
bool        wh_tok_adds_bos(const wh_tok *tok);

/* All tokens that end a generation: EOS, EOT, and those known by name (tok_end.def). */
size_t wh_tok_ends(const wh_tok *tok, const int32_t **ids);
bool   wh_tok_is_end(const wh_tok *tok, int32_t id);

#endif
