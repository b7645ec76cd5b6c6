/* Tokenizers: golden ids of the reference tokenizers (tools/golden_tok.py), rules, hostile input. */
#include "base/mem.h"
#include "gguf/gguf_write.h"
#include "tok_vocab.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void check_ids(const wh_tok *t, const char *name, const char *text, size_t n, unsigned flags,
                      const json_t *want)
{
    wh_tok_ids ids = {0};
    assert_int_equal(wh_tok_encode(t, &ids, text, n, flags, NULL), WH_OK);
    bool same = ids.len == json_array_size(want);
    for (size_t i = 0; same && i < ids.len; i++) same = ids.data[i] == json_integer_value(json_array_get(want, i));
    if (!same) fail_msg("%s: other ids than the reference for '%s'", name, text);

    /* decoding gives the text back; streaming gives the same, without the space in front */
    wh_buf exact = {0}, streamed = {0};
    bool   spm = !strncmp(name, "spm", 3);
    wh_tok_decode(t, &exact, ids.data, ids.len, WH_TOK_SPECIAL);
    assert_int_equal(exact.len, n + (spm && n));
    assert_memory_equal(wh_buf_str(&exact) + (spm && n), text, n);
    if (!flags) {
        wh_tok_decoder d;
        wh_tok_decode_init(&d, t, true);
        for (size_t i = 0; i < ids.len; i++) wh_tok_decode_put(&d, &streamed, ids.data[i]);
        wh_tok_decode_end(&d, &streamed);
        assert_int_equal(streamed.len, n);
        assert_memory_equal(wh_buf_str(&streamed), text, n);
    }
    wh_buf_free(&exact);
    wh_buf_free(&streamed);
    wh_tok_ids_free(&ids);
}

static void same_ids_as_the_references(void **state)
{
    (void)state;
    json_error_t jerr;
    json_t      *cases = json_load_file("tests/golden/tok_cases.json", JSON_ALLOW_NUL, &jerr);
    if (!cases) fail_msg("%s", jerr.text);
    static const char *const vocabs[] = {"qwen2", "deepseek-r1-qwen", "smollm", "gpt-2", "llama-bpe", "spm",
                                         "spm3"};
    size_t                   checked = 0;
    for (size_t v = 0; v < sizeof vocabs / sizeof vocabs[0]; v++) {
        wh_tok *t = golden_tok(vocabs[v]);
        size_t  i;
        json_t *c;
        json_array_foreach (cases, i, c) {
            const json_t *text = json_object_get(c, "text");
            const json_t *plain = json_object_get(json_object_get(c, "ids"), vocabs[v]);
            const json_t *special = json_object_get(json_object_get(c, "special"), vocabs[v]);
            if (!plain) continue;
            check_ids(t, vocabs[v], json_string_value(text), json_string_length(text), 0, plain);
            checked++;
            if (!strncmp(vocabs[v], "spm", 3)) continue;
            check_ids(t, vocabs[v], json_string_value(text), json_string_length(text), WH_TOK_SPECIAL,
                      special ? special : plain);
        }
        wh_tok_free(t);
    }
    json_decref(cases);
    assert_true(checked > 700);
}

static void merges_by_rank(void **state)
{
    (void)state;
    vocab   x;
    wh_tok *t;
    vocab_bpe(&x);
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_string_equal(ids_of(t, "ab", 0), "256");
    assert_string_equal(ids_of(t, "ababab", 0), "257 256");
    assert_string_equal(ids_of(t, "aab", 0), "97 256");
    assert_string_equal(ids_of(t, "ab1ab", 0), "256 49 256"); /* digits stand alone */
    assert_int_equal(wh_tok_count(t), 260);
    assert_int_equal(wh_tok_find(t, "abab", 4), 257);
    assert_int_equal(wh_tok_find(t, "aba", 3), -1);
    assert_int_equal(wh_tok_piece(t, 260).n, 0);
    assert_int_equal(wh_tok_piece(t, -1).n, 0);
    assert_int_equal(wh_tok_type_of(t, 1 << 30), WH_TOK_UNKNOWN);
    assert_memory_equal(wh_tok_spelling(t, ' ').s, "\xC4\xA0", 2); /* U+0120 */
    assert_memory_equal(wh_tok_piece(t, ' ').s, " ", 1);
    wh_tok_free(t);

    x.v.pre = "llama-bpe"; /* a word that is a token is that token */
    vocab_add(&x, "aab", WH_TOK_NORMAL, 0);
    x.v.bos = 258;
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_string_equal(ids_of(t, "aab", 0), "260");
    assert_string_equal(ids_of(t, "aab", WH_TOK_BOS), "258 260"); /* Llama 3 adds BOS when the file does not say */
    wh_tok_free(t);
}

static void control_tokens_only_on_request(void **state)
{
    (void)state;
    vocab   x;
    wh_tok *t;
    vocab_bpe(&x);
    int32_t role = vocab_add(&x, "<\xEF\xBD\x9CUser\xEF\xBD\x9C>", WH_TOK_USER_DEFINED, 0);
    vocab_add(&x, "<|end|><|end|>", WH_TOK_CONTROL, 0);
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_int_equal(wh_tok_type_of(t, role), WH_TOK_CONTROL); /* by its notation */
    assert_string_equal(ids_of(t, "a<|end|>", WH_TOK_SPECIAL), "97 258");
    assert_string_equal(ids_of(t, "a<|end|>", 0), "97 60 124 101 110 100 124 62");
    assert_string_equal(ids_of(t, "<think>a<think>", 0), "259 97 259");
    assert_string_equal(ids_of(t, "<|end|><|end|><|end|>", WH_TOK_SPECIAL), "261 258"); /* the longest */
    assert_string_equal(ids_of(t, "<|end|><|end|", WH_TOK_SPECIAL), "258 60 124 101 110 100 124");
    assert_string_equal(ids_of(t, "<\xEF\xBD\x9CUser\xEF\xBD\x9C>", WH_TOK_SPECIAL), "260");
    wh_buf b = {0};
    wh_tok_decode(t, &b, (int32_t[]){97, 258, 98, 259, -5, 9999}, 6, 0);
    assert_string_equal(wh_buf_str(&b), "ab<think>");
    wh_buf_free(&b);
    wh_tok_free(t);
}

static void sentencepiece_rules(void **state)
{
    (void)state;
    vocab   x;
    wh_tok *t;
    vocab_spm(&x);
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_string_equal(ids_of(t, "ab", 0), "259 262"); /* "ab" scores higher than U+2581 "a" */
    assert_string_equal(ids_of(t, "ab", WH_TOK_BOS), "1 259 262");
    assert_string_equal(ids_of(t, "ab", WH_TOK_NO_PREFIX), "262");
    assert_string_equal(ids_of(t, "", 0), "");
    assert_string_equal(ids_of(t, "a", 0), "263");
    assert_string_equal(ids_of(t, "<s>", 0), "259 267 266"); /* never the control token */
    assert_string_equal(ids_of(t, "<s>", WH_TOK_SPECIAL), "1");
    assert_string_equal(ids_of(t, "a<s>a", WH_TOK_SPECIAL), "263 1 263");    /* a space in front of each text */
    assert_string_equal(ids_of(t, "\xC3\xA9", WH_TOK_NO_PREFIX), "198 172"); /* bytes */
    assert_string_equal(ids_of(t, "\xC3", WH_TOK_NO_PREFIX), "198");
    assert_int_equal(wh_tok_piece(t, 198).n, 1);
    assert_int_equal((unsigned char)wh_tok_piece(t, 198).s[0], 0xC3);

    wh_tok_decoder d;
    wh_buf         b = {0};
    wh_tok_decode_init(&d, t, true);
    wh_tok_decode_put(&d, &b, 263);
    wh_tok_decode_put(&d, &b, 263);
    wh_tok_decode_end(&d, &b);
    assert_string_equal(wh_buf_str(&b), "a a");
    wh_buf_clear(&b);
    wh_tok_decode_init(&d, t, false);
    wh_tok_decode_put(&d, &b, 263);
    assert_string_equal(wh_buf_str(&b), " a");
    wh_buf_free(&b);
    wh_tok_free(t);

    x.v.add_space_prefix = 0;
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_string_equal(ids_of(t, "ab", 0), "262");
    wh_tok_free(t);

    for (int c = 0; c < 256; c++) x.types[3 + c] = WH_TOK_UNUSED; /* without byte tokens: unknown */
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_string_equal(ids_of(t, "b\xC3\xA9z", 0), "261 0 0");
    wh_tok_free(t);
}

static void any_bytes_survive(void **state)
{
    (void)state;
    static const char *const vocabs[] = {"qwen2", "llama-bpe", "smollm", "gpt-2", "spm"};
    static const char alphabet[] = "ab \n\t1'\xC3\xA9\xE2\x96\x81\xF0\x9F\x98\x80\xFF\xFE\xED\xA0\x80\xC0\x00s<|>";
    uint32_t          seed = 7;
    for (size_t v = 0; v < sizeof vocabs / sizeof vocabs[0]; v++) {
        wh_tok *t = golden_tok(vocabs[v]);
        for (int round = 0; round < 2000; round++) {
            char       text[40];
            size_t     n = (size_t)round % sizeof text;
            wh_tok_ids ids = {0};
            wh_buf     b = {0};
            for (size_t i = 0; i < n; i++) {
                seed = seed * 1664525u + 1013904223u;
                text[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
                /* U+2581 is how "llama" vocabularies write a space: that one text does not survive */
                if (vocabs[v][0] == 's' && vocabs[v][1] == 'p' && text[i] == '\x96') text[i] = 'x';
            }
            assert_int_equal(wh_tok_encode(t, &ids, text, n, 0, NULL), WH_OK);
            wh_tok_decode(t, &b, ids.data, ids.len, WH_TOK_SPECIAL);
            size_t front = n && !strcmp(vocabs[v], "spm");
            assert_int_equal(b.len, n + front);
            if (n) assert_memory_equal(b.data + front, text, n);
            wh_buf_free(&b);
            wh_tok_ids_free(&ids);
        }
        wh_tok_free(t);
    }
}

/* SmolLM2 has no token for 21 of the bytes; the reference leaves them out, and what is beside them meets. */
static void bytes_without_a_token(void **state)
{
    (void)state;
    vocab   x;
    wh_tok *t;
    vocab_bpe(&x);
    x.tokens[4] = (wh_tok_str){"unused", 6};
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_string_equal(ids_of(t, "\x04", 0), "");
    assert_string_equal(ids_of(t, "-\x04-", 0), "45 45");
    wh_tok_free(t);
}

static void streaming_is_whole_utf8(void **state)
{
    (void)state;
    vocab   x;
    wh_tok *t;
    vocab_bpe(&x);
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    static const struct {
        const char *bytes, *out, *end; /* what has come out before and after the end */
    } cases[] = {
        {"a\xC3\xA9z", "a\xC3\xA9z", "a\xC3\xA9z"},
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {"a\xF0\x9F\x98", "a", "a\xEF\xBF\xBD"},
        {"\xF0\x9F\x98z", "\xEF\xBF\xBDz", "\xEF\xBF\xBDz"},
        {"\xFF\x80z", "\xEF\xBF\xBD\xEF\xBF\xBDz", "\xEF\xBF\xBD\xEF\xBF\xBDz"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\xC3\xA9", "\xEF\xBF\xBD\xC3\xA9", "\xEF\xBF\xBD\xC3\xA9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wh_tok_decoder d;
        wh_buf         b = {0};
        wh_tok_decode_init(&d, t, true);
        for (const char *p = cases[i].bytes; *p; p++) wh_tok_decode_put(&d, &b, (unsigned char)*p);
        wh_tok_decode_put(&d, &b, 258); /* a control token says nothing */
        assert_string_equal(wh_buf_str(&b), cases[i].out);
        wh_tok_decode_end(&d, &b);
        assert_string_equal(wh_buf_str(&b), cases[i].end);
        wh_buf_free(&b);
    }
    wh_tok_free(t);
}

static void ends_and_bos(void **state)
{
    (void)state;
    vocab   x;
    wh_tok *t;
    vocab_bpe(&x);
    x.v.eos = 258;
    x.v.eot = 259;
    int32_t im_end = vocab_add(&x, "<|im_end|>", WH_TOK_NORMAL, 0); /* a wrong type, by its notation */
    int32_t plain = vocab_add(&x, "</s>", WH_TOK_NORMAL, 0);        /* as in Qwen's vocabulary: a text */
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_true(wh_tok_is_end(t, 258) && wh_tok_is_end(t, 259) && wh_tok_is_end(t, im_end));
    assert_false(wh_tok_is_end(t, plain) || wh_tok_is_end(t, -1) || wh_tok_is_end(t, 97));
    const int32_t *ends;
    assert_int_equal(wh_tok_ends(t, &ends), 3);
    assert_int_equal(wh_tok_eos(t), 258);
    assert_int_equal(wh_tok_bos(t), -1);
    assert_string_equal(ids_of(t, "a", WH_TOK_BOS), "97");
    wh_tok_free(t);
    x.v.add_bos = x.v.add_eos = 1;
    x.v.bos = 97;
    assert_int_equal(wh_tok_create(&t, &x.v, NULL), WH_OK);
    assert_string_equal(ids_of(t, "b", WH_TOK_BOS), "97 98 258");
    assert_string_equal(ids_of(t, "b", 0), "98");
    wh_tok_free(t);
}

/* Each takes a good vocabulary and breaks one thing. */
static void no_tokens(vocab *x) { x->v.n_tokens = 0; }
static void null_tokens(vocab *x) { x->v.tokens = NULL; }
static void no_model(vocab *x) { x->v.model = NULL; }
static void odd_model(vocab *x) { x->v.model = "bert"; }
static void no_pre(vocab *x) { x->v.pre = NULL; }
static void odd_pre(vocab *x) { x->v.pre = "klingon"; }
static void no_merges(vocab *x) { x->v.merges = NULL; }
static void twice(vocab *x) { x->tokens[256] = x->tokens[97]; }
static void nul(vocab *x) { x->tokens[256] = (wh_tok_str){"a\0b", 3}; }
static void bad_utf8(vocab *x) { x->tokens[256] = (wh_tok_str){"a\xFF", 2}; }
static void merge_left(vocab *x) { vocab_merge(x, "zz a"); }
static void merge_right(vocab *x) { vocab_merge(x, "a zz"); }
static void merge_whole(vocab *x) { vocab_merge(x, "b b"); }
static void merge_one(vocab *x) { vocab_merge(x, "ab"); }
static void merge_three(vocab *x) { vocab_merge(x, "a b a"); }
static void merge_empty(vocab *x) { vocab_merge(x, ""); }
static void merge_control(vocab *x) { x->types[256] = WH_TOK_CONTROL; }
static void byte_control(vocab *x) { x->types[65] = WH_TOK_CONTROL; }
static void few_types(vocab *x) { x->v.n_types--; }
static void odd_type(vocab *x) { x->types[3] = 77; }
static void high_bos(vocab *x) { x->v.bos = 260; }
static void high_eos(vocab *x) { x->v.eos = UINT32_MAX; }
static void high_eot(vocab *x) { x->v.eot = 1000; }
static void high_unk(vocab *x) { x->v.unk = 1000; }
static void bos_missing(vocab *x) { x->v.add_bos = 1; }
static void eos_missing(vocab *x) { x->v.add_eos = 1; }
static void few_scores(vocab *x) { x->v.n_scores--; }
static void no_scores(vocab *x) { x->v.scores = NULL; }
static void nan_score(vocab *x) { x->scores[5] = NAN; }
static void no_bytes(vocab *x)
{
    x->types[20] = WH_TOK_UNUSED;
    x->v.unk = -1;
    x->v.n_tokens = x->v.n_types = x->v.n_scores = 2; /* too small for the default <unk> */
}

static void broken_vocabularies(void **state)
{
    (void)state;
    static const struct {
        bool spm;
        void (*spoil)(vocab *);
        const char *key;
    } cases[] = {
        {false, no_tokens, "tokens is missing"},
        {false, null_tokens, "tokens is missing"},
        {false, no_model, "ggml.model"},
        {false, odd_model, "'bert'"},
        {false, no_pre, "ggml.pre is missing"},
        {false, odd_pre, "'klingon'"},
        {false, no_merges, "ggml.merges is missing"},
        {false, twice, "tokens[256] repeats token 97"},
        {false, nul, "tokens[256]"},
        {false, bad_utf8, "tokens[256]"},
        {false, merge_left, "merges[2]"},
        {false, merge_right, "merges[2]"},
        {false, merge_whole, "merges[2]"},
        {false, merge_one, "merges[2]"},
        {false, merge_three, "merges[2]"},
        {false, merge_empty, "merges[2]"},
        {false, merge_control, "merges[0]"},
        {false, byte_control, "token_type[65]"},
        {false, few_types, "token_type has 259"},
        {false, odd_type, "token_type[3] is 77"},
        {false, high_bos, "bos_token_id is 260"},
        {false, high_eos, "eos_token_id"},
        {false, high_eot, "eot_token_id"},
        {false, high_unk, "unknown_token_id"},
        {false, bos_missing, "bos_token_id"},
        {false, eos_missing, "eos_token_id"},
        {true, few_scores, "scores has 267"},
        {true, no_scores, "scores is missing"},
        {true, nan_score, "scores[5]"},
        {true, no_bytes, "<0x00>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vocab   x;
        wh_tok *t;
        wh_err  err = {0};
        (cases[i].spm ? vocab_spm : vocab_bpe)(&x);
        cases[i].spoil(&x);
        if (wh_tok_create(&t, &x.v, &err) == WH_OK) fail_msg("case %zu was accepted", i);
        assert_null(t);
        if (!strstr(err.msg, cases[i].key)) fail_msg("case %zu: '%s' does not say '%s'", i, err.msg, cases[i].key);
    }
}

/* Files with one key, which has a type that it must not have. */
static void keys_of_a_wrong_type(void **state)
{
    (void)state;
    static const char *const names[] = {
        "model",        "pre",          "tokens",           "merges",        "token_type",    "scores",           "bos_token_id",
        "eos_token_id", "eot_token_id", "unknown_token_id", "add_bos_token", "add_eos_token", "add_space_prefix",
    };
    char                     dir[] = "/tmp/whet-test-XXXXXX", path[64], key[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tok.gguf", dir);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        wh_gguf_writer *w;
        wh_gguf        *g;
        wh_tok         *t;
        wh_err          err = {0};
        snprintf(key, sizeof key, "tokenizer.ggml.%s", names[i]);
        assert_int_equal(wh_gguf_write_create(&w, path, 32, NULL), WH_OK);
        assert_int_equal(wh_gguf_write_f32(w, key, 0.5f, NULL), WH_OK);
        assert_int_equal(wh_gguf_write_begin(w, NULL), WH_OK);
        assert_int_equal(wh_gguf_write_finish(w, NULL), WH_OK);
        assert_int_equal(wh_gguf_open(&g, path, NULL), WH_OK);
        assert_int_equal(wh_tok_gguf_create(&t, g, &err), WH_ERR_FORMAT);
        assert_null(t);
        if (!strstr(err.msg, key)) fail_msg("'%s' does not name %s", err.msg, key);
        wh_gguf_close(g);
        remove(path);
    }
    remove(dir);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int spm = 0; spm < 2; spm++) {
        vocab x;
        (spm ? vocab_spm : vocab_bpe)(&x);
        wh_code code = WH_ERR_NOMEM;
        for (long k = 0; code != WH_OK; k++) {
            wh_tok    *t = NULL;
            wh_tok_ids ids = {0};
            wh_mem_fail_after(k);
            code = wh_tok_create(&t, &x.v, NULL);
            if (code == WH_OK) code = wh_tok_encode(t, &ids, "abab <s> <think> \xFF", 19, WH_TOK_SPECIAL, NULL);
            wh_mem_fail_after(-1);
            assert_true(code == WH_OK || (code == WH_ERR_NOMEM && ids.len == 0));
            wh_tok_ids_free(&ids);
            wh_tok_free(t);
            assert_true(k < 1000);
        }
    }
}

/* A megabyte in one word: quadratic time would take an hour. */
static void long_words_cost_no_more(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "ab", " ", "\n", "7", "<", "\xE6\x97\xA5", "'", "\xFF", " \n"};
    static const char *const vocabs[] = {"qwen2", "smollm", "spm"};
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES);
    assert_non_null(text);
    clock_t begun = clock();
    for (size_t v = 0; v < sizeof vocabs / sizeof vocabs[0]; v++) {
        wh_tok *t = golden_tok(vocabs[v]);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            wh_tok_ids ids = {0};
            for (size_t i = 0; i < BYTES; i++) text[i] = units[u][i % strlen(units[u])];
            assert_int_equal(wh_tok_encode(t, &ids, text, BYTES, WH_TOK_SPECIAL, NULL), WH_OK);
            wh_tok_ids_free(&ids);
        }
        wh_tok_free(t);
    }
    free(text);
    assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids_as_the_references),
        cmocka_unit_test(merges_by_rank),
        cmocka_unit_test(control_tokens_only_on_request),
        cmocka_unit_test(sentencepiece_rules),
        cmocka_unit_test(any_bytes_survive),
        cmocka_unit_test(bytes_without_a_token),
        cmocka_unit_test(streaming_is_whole_utf8),
        cmocka_unit_test(ends_and_bos),
        cmocka_unit_test(broken_vocabularies),
        cmocka_unit_test(keys_of_a_wrong_type),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(long_words_cost_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
