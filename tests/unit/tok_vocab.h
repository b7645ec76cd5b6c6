/* tok_vocab: small vocabularies made by hand, and encoding to a text of numbers. */
#ifndef WH_TESTS_TOK_VOCAB_H
#define WH_TESTS_TOK_VOCAB_H

#include "gguf/gguf_read.h"
#include "text/tok_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB_MAX = 320 };

typedef struct vocab {
    wh_tok_vocab v;
    wh_tok_str   tokens[VOCAB_MAX], merges[16];
    int32_t      types[VOCAB_MAX];
    float        scores[VOCAB_MAX];
    char         names[256][8];
} vocab;

static inline int32_t vocab_add(vocab *x, const char *token, int32_t type, float score)
{
    size_t i = x->v.n_tokens++;
    x->tokens[i] = (wh_tok_str){token, strlen(token)};
    x->types[i] = type;
    x->scores[i] = score;
    x->v.n_types = x->v.n_scores = x->v.n_tokens;
    return (int32_t)i;
}

static inline void vocab_merge(vocab *x, const char *merge)
{
    x->merges[x->v.n_merges++] = (wh_tok_str){merge, strlen(merge)};
}

/* The 256 bytes as GPT-2 spells them (ids 0..255), "ab" (256), "abab" (257), <|end|> (258, control),
 * <think> (259, user-defined). */
static inline void vocab_bpe(vocab *x)
{
    memset(x, 0, sizeof *x);
    wh_tok_vocab_init(&x->v);
    x->v.model = "gpt2";
    x->v.pre = "qwen2";
    x->v.tokens = x->tokens;
    x->v.types = x->types;
    x->v.merges = x->merges;
    unsigned next = 0x100;
    for (unsigned c = 0; c < 256; c++) {
        bool     prints = (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || c >= 0xAE;
        unsigned code = prints ? c : next++;
        if (code < 0x80) {
            snprintf(x->names[c], 8, "%c", (int)code);
        } else {
            snprintf(x->names[c], 8, "%c%c", (int)(0xC0 | code >> 6), (int)(0x80 | (code & 0x3F)));
        }
        vocab_add(x, x->names[c], WH_TOK_NORMAL, 0);
    }
    vocab_add(x, "ab", WH_TOK_NORMAL, 0);
    vocab_add(x, "abab", WH_TOK_NORMAL, 0);
    vocab_add(x, "<|end|>", WH_TOK_CONTROL, 0);
    vocab_add(x, "<think>", WH_TOK_USER_DEFINED, 0);
    vocab_merge(x, "a b");
    vocab_merge(x, "ab ab");
}

/* <unk> <s> </s> (0..2), the 256 byte tokens (3..258), then U+2581 (259) a b ab U+2581a < s > <s ("<s" + ">"
 * would be the control token <s>). */
static inline void vocab_spm(vocab *x)
{
    memset(x, 0, sizeof *x);
    wh_tok_vocab_init(&x->v);
    x->v.model = "llama";
    x->v.tokens = x->tokens;
    x->v.types = x->types;
    x->v.scores = x->scores;
    vocab_add(x, "<unk>", WH_TOK_UNKNOWN, 0);
    vocab_add(x, "<s>", WH_TOK_CONTROL, 0);
    vocab_add(x, "</s>", WH_TOK_CONTROL, 0);
    for (int c = 0; c < 256; c++) {
        snprintf(x->names[c], 8, "<0x%02X>", (unsigned char)c);
        vocab_add(x, x->names[c], WH_TOK_BYTE, 0);
    }
    static const char *const pieces[] = {"\xE2\x96\x81",
                                         "a",
                                         "b",
                                         "ab",
                                         ("\xE2\x96\x81"
                                          "a"),
                                         "<",
                                         "s",
                                         ">",
                                         "<s"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        vocab_add(x, pieces[i], WH_TOK_NORMAL, -(float)i);
}

/* The ids of a text, as "1 2 3"; a static buffer. */
static inline const char *ids_of(const wh_tok *t, const char *text, unsigned flags)
{
    static char out[4096];
    wh_tok_ids  ids = {0};
    size_t      at = 0;
    out[0] = '\0';
    if (wh_tok_encode(t, &ids, text, strlen(text), flags, NULL) != WH_OK) return "failed";
    for (size_t i = 0; i < ids.len && at < sizeof out - 16; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%d", i ? " " : "", ids.data[i]);
    wh_tok_ids_free(&ids);
    return out;
}

static inline wh_tok *golden_tok(const char *name)
{
    char     path[128];
    wh_gguf *g;
    wh_tok  *t = NULL;
    wh_err   err;
    snprintf(path, sizeof path, "tests/golden/tok_%s.gguf", name);
    if (wh_gguf_open(&g, path, &err) != WH_OK || wh_tok_gguf_create(&t, g, &err) != WH_OK) {
        fprintf(stderr, "%s: %s\n", path, err.msg);
        abort();
    }
    wh_gguf_close(g);
    return t;
}

#endif
