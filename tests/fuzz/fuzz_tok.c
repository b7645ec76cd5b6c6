/* Tokenizers and chat formats on any bytes. The first byte says what the rest is:
 *   0..6   a text for one of the golden vocabularies: encoding then decoding gives it back
 *   7      a chat template, then "\n\n", then what the user says: only the format's own markers are control tokens
 *   8, 9   a vocabulary (tokens, one a line, its type in front), "\n\n", merges, "\n\n", a text: no crash
 * Run from the root of the repository.
 */
#include "../unit/tok_vocab.h"

enum { VOCABS = 7, LINES = 256 };

static wh_tok *vocab_at(size_t i)
{
    static const char *const names[VOCABS] = {"qwen2", "deepseek-r1-qwen", "smollm", "gpt-2", "llama-bpe", "spm",
                                              "spm3"};
    static wh_tok           *toks[VOCABS];
    if (!toks[i]) toks[i] = golden_tok(names[i]);
    return toks[i];
}

static void check_text(const wh_tok *t, bool spm, const char *text, size_t n, unsigned flags)
{
    wh_tok_ids     ids = {0};
    wh_buf         b = {0}, streamed = {0};
    wh_tok_decoder d;
    wh_tok_decode_init(&d, t, true);
    if (wh_tok_encode(t, &ids, text, n, flags, NULL) != WH_OK) abort();
    wh_tok_decode(t, &b, ids.data, ids.len, WH_TOK_SPECIAL);
    size_t front = spm && n; /* the space that SentencePiece puts in front */
    if (!(spm && (flags || memmem(text, n, "\xE2\x96\x81", 3)))) {
        if (b.len != n + front) abort();
        if (n && memcmp(b.data + front, text, n)) abort();
    }
    for (size_t i = 0; i < ids.len; i++) {
        if (!flags && wh_tok_type_of(t, ids.data[i]) == WH_TOK_CONTROL) abort();
        wh_tok_decode_put(&d, &streamed, ids.data[i]);
        size_t good = 0;
        for (wh_tok_str s = {streamed.data, streamed.len}; good < s.n;) {
            unsigned char c = (unsigned char)s.s[good];
            good += c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        }
        if (good != streamed.len) abort(); /* cut inside a character */
    }
    wh_tok_decode_end(&d, &streamed);
    wh_tok_ids_free(&ids);
    wh_buf_free(&b);
    wh_buf_free(&streamed);
}

/* Cut what comes before "\n\n" off rest. */
static wh_tok_str section(wh_tok_str *rest)
{
    const char *end = rest->n ? memmem(rest->s, rest->n, "\n\n", 2) : NULL;
    wh_tok_str  s = {rest->s, end ? (size_t)(end - rest->s) : rest->n};
    size_t      skip = end ? s.n + 2 : s.n;
    *rest = (wh_tok_str){rest->s + skip, rest->n - skip};
    return s;
}

static size_t lines(wh_tok_str *out, wh_tok_str s)
{
    size_t n = 0;
    while (s.n && n < LINES) {
        const char *end = memchr(s.s, '\n', s.n);
        size_t      len = end ? (size_t)(end - s.s) : s.n;
        out[n++] = (wh_tok_str){s.s, len};
        s = (wh_tok_str){s.s + len + (end != NULL), s.n - len - (end != NULL)};
    }
    return n;
}

static void check_chat(wh_tok_str rest)
{
    wh_tok_str template_ = section(&rest);
    for (size_t i = 0; i < VOCABS; i++) {
        wh_tok      *tok = vocab_at(i);
        wh_chat     *chat;
        wh_chat_text out = {0};
        wh_tok_ids   ids = {0};
        wh_chat_msg  messages[] = {{WH_CHAT_SYSTEM, rest}, {WH_CHAT_USER, rest}, {WH_CHAT_ASSISTANT, rest}};
        if (wh_chat_create(&chat, tok, template_.s, template_.n, NULL) != WH_OK) continue;
        if (wh_chat_render(chat, &out, messages, 3, true, NULL) != WH_OK) abort();
        if (wh_chat_encode(chat, &ids, &out, NULL) != WH_OK) abort();
        size_t control = 0;
        for (size_t k = 0; k < ids.len; k++) control += wh_tok_type_of(tok, ids.data[k]) == WH_TOK_CONTROL;
        if (control > out.n_markers) abort();
        wh_tok_ids_free(&ids);
        wh_chat_text_free(&out);
        wh_chat_free(chat);
    }
}

static void check_vocab(bool spm, wh_tok_str rest)
{
    static vocab x;
    wh_tok_str   tokens[LINES], merges[LINES];
    (spm ? vocab_spm : vocab_bpe)(&x);
    size_t n_tokens = lines(tokens, section(&rest));
    for (size_t i = 0; i < n_tokens && x.v.n_tokens < VOCAB_MAX; i++) {
        if (!tokens[i].n) continue;
        size_t at = (size_t)vocab_add(&x, "", tokens[i].s[0] - '0', (float)tokens[i].n);
        x.tokens[at] = (wh_tok_str){tokens[i].s + 1, tokens[i].n - 1};
    }
    x.v.n_merges = lines(merges, section(&rest));
    x.v.merges = merges;
    wh_tok *t;
    if (wh_tok_create(&t, &x.v, NULL) != WH_OK) return;
    wh_tok_ids ids = {0};
    wh_buf     b = {0};
    if (wh_tok_encode(t, &ids, rest.s, rest.n, WH_TOK_SPECIAL | WH_TOK_BOS, NULL) != WH_OK) abort();
    for (size_t i = 0; i < ids.len; i++)
        if (ids.data[i] < 0 || (size_t)ids.data[i] >= wh_tok_count(t)) abort();
    wh_tok_decode(t, &b, ids.data, ids.len, 0);
    wh_buf_free(&b);
    wh_tok_ids_free(&ids);
    wh_tok_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n) return 0;
    size_t     mode = data[0] % 10;
    wh_tok_str rest = {(const char *)data + 1, n - 1};
    if (mode < VOCABS) {
        check_text(vocab_at(mode), mode >= 5, rest.s, rest.n, 0);
        check_text(vocab_at(mode), mode >= 5, rest.s, rest.n, WH_TOK_SPECIAL);
    } else if (mode == VOCABS) {
        check_chat(rest);
    } else {
        check_vocab(mode == 9, rest);
    }
    return 0;
}
