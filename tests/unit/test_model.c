/* model: the forward pass against logits and hidden states computed by transformers (tools/golden_model.py), and
 * against itself: the same bits for every chunking, batch, number of threads and instruction set. */
#include "base/mem.h"
#include "model/forward.h"
#include "logit_sink.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ROWS = 64, CONTEXT = 256, STEP = 10 }; /* STEP: the golden file keeps every tenth row */

typedef struct golden {
    uint32_t n, kept, vocab, d;
    int32_t *tokens;
    float   *logits;
    float   *hidden; /* (kept, d) behind the first block */
} golden;

static golden read_golden(const char *name)
{
    char path[96];
    golden g;
    snprintf(path, sizeof path, "tests/golden/model/%s.logits", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint32_t head[3];
    assert_int_equal(fread(head, sizeof head, 1, f), 1);
    g.n = head[0], g.kept = head[1], g.vocab = head[2];
    g.tokens = malloc(g.n * sizeof *g.tokens);
    g.logits = malloc((size_t)g.kept * g.vocab * sizeof *g.logits);
    assert_int_equal(fread(g.tokens, sizeof *g.tokens, g.n, f), g.n);
    assert_int_equal(fread(g.logits, sizeof *g.logits * g.vocab, g.kept, f), g.kept);
    fclose(f);
    snprintf(path, sizeof path, "tests/golden/model/%s.hidden", name);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, sizeof *head, 2, f), 2);
    assert_int_equal(head[0], g.kept);
    g.d = head[1];
    g.hidden = malloc((size_t)g.kept * g.d * sizeof *g.hidden);
    assert_int_equal(fread(g.hidden, sizeof *g.hidden * g.d, g.kept, f), g.kept);
    fclose(f);
    return g;
}

static void free_golden(golden *g)
{
    free(g->tokens);
    free(g->logits);
    free(g->hidden);
}

static wh_model *open_model(const char *name, wh_isa isa, wh_par *par)
{
    char path[96];
    wh_err err;
    wh_model *m;
    snprintf(path, sizeof path, "tests/golden/model/%s.gguf", name);
    if (wh_model_open(&m, path, isa, WH_MAT_EXACT, par, &err) != WH_OK) fail_msg("%s", err.msg);
    return m;
}

/* Logits of all tokens, then their hidden states (n, layers, d) behind each block up to `layers` (with fewer than all
 * of them logits are 0), computed `chunk` rows at a time; `copies` sequences go side by side and must agree. */
static float *compute(wh_model *m, wh_par *par, const golden *g, size_t layers, size_t chunk, size_t copies)
{
    static const uint32_t which[] = {1, 2};
    wh_forward *f;
    wh_kv kv;
    bool whole = layers == m->config.layers;
    assert_int_equal(wh_forward_create(&f, m, par, layers, MAX_ROWS, CONTEXT, NULL), WH_OK);
    size_t blocks = (g->n + WH_KV_BLOCK - 1) / WH_KV_BLOCK;
    assert_int_equal(wh_kv_create(&kv, &m->config, blocks * copies, blocks * copies, NULL), WH_OK);
    uint32_t *tables = malloc(blocks * copies * sizeof *tables);
    for (size_t i = 0; i < blocks * copies; i++) tables[i] = (uint32_t)(i * 5 % (blocks * copies)); /* any order */
    float *all = calloc((size_t)g->n * (g->vocab + layers * g->d), sizeof *all), *hidden = all + (size_t)g->n * g->vocab;
    float *states = calloc((size_t)MAX_ROWS * layers * g->d, sizeof *states);
    wh_tap taps[MAX_ROWS];
    float *out = malloc((size_t)MAX_ROWS * g->vocab * sizeof *out);
    for (size_t at = 0; at < g->n; at += chunk) {
        size_t here = g->n - at < chunk ? g->n - at : chunk, n = 0;
        int32_t tokens[MAX_ROWS];
        uint32_t positions[MAX_ROWS], rows[MAX_ROWS], open[MAX_ROWS], from[MAX_ROWS], to[MAX_ROWS];
        size_t n_close = 0;
        const uint32_t *row_tables[MAX_ROWS];
        for (size_t c = 0; c < copies; c++)
            for (size_t i = 0; i < here; i++, n++) {
                tokens[n] = g->tokens[at + i];
                positions[n] = (uint32_t)(at + i);
                rows[n] = (uint32_t)n;
                taps[n] = (wh_tap){.row = (uint32_t)n, .n = (uint32_t)layers, .layers = which, .to = states + n * layers * g->d};
                row_tables[n] = tables + c * blocks;
                size_t column = (at + i) / WH_KV_BLOCK;
                open[n] = tables[(c + 1) * blocks - 1 - column];
                if ((at + i) % WH_KV_BLOCK == WH_KV_BLOCK - 1) {
                    from[n_close] = open[n];
                    to[n_close++] = row_tables[n][column];
                }
            }
        logit_sink s = {out, g->vocab};
        wh_head_sink head = {keep_tile, keep_row, &s};
        wh_batch batch = {.n = n, .tokens = tokens, .positions = positions, .tables = row_tables,
                          .open = open, .n_close = n_close, .close_from = from, .close_to = to, .out_rows = rows, .n_taps = n, .taps = taps};
        if (whole) batch.n_out = batch.n_logits = n;
        wh_forward_run(f, &kv, &batch, &head);
        size_t width = layers * g->d;
        for (size_t c = 1; c < copies; c++) assert_memory_equal(states, states + c * here * width, here * width * sizeof *states);
        memcpy(hidden + at * width, states, here * width * sizeof *states);
        if (!whole) continue;
        for (size_t c = 1; c < copies; c++)
            assert_memory_equal(out, out + c * here * g->vocab, here * g->vocab * sizeof *out);
        memcpy(all + at * g->vocab, out, here * g->vocab * sizeof *all);
        /* A part of a row made again is the same. */
        float again[16];
        wh_forward_logits(f, 0, again, n - 1, 32, 48);
        assert_memory_equal(again, out + (n - 1) * g->vocab + 32, sizeof again);
    }
    free(out);
    free(states);
    free(tables);
    wh_kv_free(&kv);
    wh_forward_free(f);
    return all;
}

static void check_family(const char *name)
{
    golden g = read_golden(name);
    wh_par *one, *three;
    assert_int_equal(wh_par_create(&one, 1, NULL), WH_OK);
    assert_int_equal(wh_par_create(&three, 3, NULL), WH_OK);
    wh_model *m = open_model(name, 0, one);
    float *base = compute(m, one, &g, 2, MAX_ROWS, 1);
    double worst[2] = {0, 0}, sum = 0;
    for (size_t r = 0; r < g.kept; r++)
        for (size_t i = 0; i < g.vocab; i++) {
            double d = fabs((double)base[r * STEP * g.vocab + i] - (double)g.logits[r * g.vocab + i]);
            bool closed = r * STEP >= WH_KV_BLOCK;
            if (!(d <= worst[closed])) worst[closed] = d;
            if (closed) sum += d;
        }
    /* Logits go up to 7. The reference keeps K and V in f32; here they are f16 in the first block, and int8 for
     * the rows after it. */
    double mean = sum / (double)((g.kept - 7) * g.vocab);
    print_message("%s: largest difference of a logit %.5f, later %.5f (mean %.5f)\n", name, worst[0], worst[1], mean);
    assert_true(worst[0] < 0.02 && worst[1] < 0.4 && mean < 0.04);

    const float *hidden = base + (size_t)g.n * g.vocab;
    double far[2] = {0, 0};
    for (size_t r = 0; r < g.kept; r++)
        for (size_t i = 0; i < g.d; i++) {
            double d = fabs((double)hidden[r * STEP * 2 * g.d + i] - (double)g.hidden[r * g.d + i]);
            if (!(d <= far[r * STEP >= WH_KV_BLOCK])) far[r * STEP >= WH_KV_BLOCK] = d;
        }
    print_message("%s: largest difference behind the first block %.5f, later %.5f, of a state of length %.1f\n", name, far[0], far[1],
                  sqrt((double)g.d));
    assert_true(far[0] < 0.005 && far[1] < 0.15);

    float *shallow = compute(m, three, &g, 1, 50, 1);
    for (size_t r = 0; r < g.n; r++)
        assert_memory_equal(shallow + (size_t)g.n * g.vocab + r * g.d, hidden + r * 2 * g.d, g.d * sizeof *hidden);
    free(shallow);

    static const size_t chunks[][2] = {{1, 1}, {1, 7}, {7, 3}, {21, 3}, {64, 1}};
    size_t bytes = (size_t)g.n * (g.vocab + 2 * g.d) * sizeof(float);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        float *other = compute(m, i % 2 ? three : one, &g, 2, chunks[i][0], chunks[i][1]);
        assert_memory_equal(base, other, bytes);
        free(other);
    }
    wh_model_free(m);
    wh_isa have = wh_cpu_detect();
    for (int i = 0; i < WH_ISA_COUNT; i++) {
        wh_isa mask;
        if (!(have & 1u << i)) continue;
        assert_int_equal(wh_cpu_parse_mask(&mask, wh_isa_table[i].word, NULL), WH_OK);
        m = open_model(name, mask, one);
        float *other = compute(m, three, &g, 2, 50, 1);
        if (memcmp(base, other, bytes) != 0) fail_msg("%s gives other bits on %s", name, wh_isa_table[i].word);
        free(other);
        wh_model_free(m);
    }
    free(base);
    free_golden(&g);
    wh_par_free(one);
    wh_par_free(three);
}

static void llama3(void **state) { (void)state, check_family("llama3"); }
static void qwen2(void **state) { (void)state, check_family("qwen2"); }
static void qwen3(void **state) { (void)state, check_family("qwen3"); }

static void out_of_memory_is_reported(void **state)
{
    (void)state;
    wh_par *par;
    assert_int_equal(wh_par_create(&par, 1, NULL), WH_OK);
    bool opened = false;
    for (long k = 0; !opened && k < 10000; k++) {
        wh_model *m;
        wh_err err = {0};
        wh_mem_fail_after(k);
        wh_code code = wh_model_open(&m, "tests/golden/model/qwen3.gguf", 0, WH_MAT_EXACT, par, &err);
        wh_mem_fail_after(-1);
        opened = code == WH_OK;
        if (!opened) {
            assert_int_equal(code, WH_ERR_NOMEM);
            assert_null(m);
            assert_true(err.msg[0] != '\0');
        }
        wh_model_free(m);
    }
    assert_true(opened);
    wh_par_free(par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama3),
        cmocka_unit_test(qwen2),
        cmocka_unit_test(qwen3),
        cmocka_unit_test(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
