/* Hidden states on the disk: what was put is read back, also after a kill; other trunks and layers are refused. States
 * of a tiny model are those that the engine gives, rounded to f16; a head that was written says of them what its net
 * says. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "fit/features.h"
#include "fit/head.h"
#include "model/model.h"
#include "quant/half.h"
#include "reward/difficulty.h"
#include "reward/prm.h"
#include "text/tok_gguf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch_file.h"

#define MODEL "tests/golden/prm/judge.gguf"

static wh_err err;

static wh_store_head a_head(char c, uint32_t layer)
{
    wh_store_head h = {.layers = {layer, 9}, .n_layers = 2, .d = 3};
    memset(h.trunk_sha256, c, 64);
    return h;
}

static void open_store(wh_store **s, wh_store_head *h)
{
    if (wh_store_open(s, path, h, &err) != WH_OK) fail_msg("%s", err.msg);
}

static void put(wh_store *s, char c, size_t rows)
{
    char key[WH_STORE_KEY];
    uint16_t values[60];
    memset(key, c, sizeof key);
    for (size_t i = 0; i < 6 * rows; i++) values[i] = (uint16_t)(c + (int)i);
    assert_int_equal(wh_store_put(s, key, values, rows, &err), WH_OK);
}

static wh_code on_record(void *user, const char key[WH_STORE_KEY], const uint16_t *values, size_t rows, wh_err *e)
{
    (void)e;
    char *seen = user;
    for (size_t i = 0; i < 6 * rows; i++) assert_int_equal(values[i], key[0] + (int)i);
    assert_int_equal(rows, key[0] - 'a');
    strncat(seen, &key[0], 1);
    return WH_OK;
}

static void states_are_kept(void **state)
{
    (void)state;
    wh_store *s;
    wh_store_head h = a_head('0', 2);
    char seen[16] = "";
    open_store(&s, &h);
    put(s, 'c', 2);
    put(s, 'a', 0); /* nothing to read is known too */
    assert_int_equal(wh_store_close(s, &err), WH_OK);
    open_store(&s, &h);
    put(s, 'f', 5);
    assert_int_equal(wh_store_close(s, &err), WH_OK);
    open_store(&s, &h);
    assert_int_equal(wh_store_read(s, on_record, seen, &err), WH_OK);
    assert_string_equal(seen, "caf");
    assert_int_equal(wh_store_close(s, &err), WH_OK);
    /* Cut anywhere: whole frames are there, and one can go on. */
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    for (off_t size = st.st_size - 1; size >= 0; size -= 7) {
        assert_int_equal(truncate(path, size), 0);
        h = a_head('0', 2);
        open_store(&s, &h);
        seen[0] = '\0';
        assert_int_equal(wh_store_read(s, on_record, seen, &err), WH_OK);
        assert_true(strcmp(seen, "ca") == 0 || strcmp(seen, "") == 0);
        size_t before = strlen(seen);
        put(s, 'd', 3);
        assert_int_equal(wh_store_close(s, &err), WH_OK);
        open_store(&s, &h);
        seen[0] = '\0';
        assert_int_equal(wh_store_read(s, on_record, seen, &err), WH_OK);
        assert_true(strlen(seen) == before + 1 && seen[before] == 'd');
        assert_int_equal(wh_store_close(s, &err), WH_OK);
        if (before) assert_int_equal(stat(path, &st), 0);
    }
}

static void other_states_are_refused(void **state)
{
    (void)state;
    wh_store *s;
    wh_store_head h = a_head('0', 2), other = a_head('1', 2), deeper = a_head('0', 3), one = a_head('0', 2);
    open_store(&s, &h);
    wh_store *second;
    assert_int_equal(wh_store_open(&second, path, &h, &err), WH_ERR_IO); /* another process writes it */
    assert_int_equal(wh_store_close(s, &err), WH_OK);
    assert_int_equal(wh_store_open(&s, path, &other, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "another model"));
    assert_int_equal(wh_store_open(&s, path, &deeper, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "layer 3"));
    one.n_layers = 1; /* fewer are there among more */
    open_store(&s, &one);
    assert_int_equal(one.n_layers, 2);
    assert_int_equal(wh_store_close(s, &err), WH_OK);
}

/* ---- states of a model -------------------------------------------------------------------------------------------------- */

typedef struct trunk {
    wh_par    *par;
    wh_model  *model;
    wh_tok    *tok;
    wh_chat   *chat;
    wh_engine *engine;
} trunk;

static void open_trunk(trunk *t)
{
    assert_int_equal(wh_par_create(&t->par, 1, &err), WH_OK);
    if (wh_model_open(&t->model, MODEL, 0, WH_MAT_EXACT, t->par, &err) != WH_OK) fail_msg("%s", err.msg);
    assert_int_equal(wh_tok_gguf_create(&t->tok, t->model->gguf, &err), WH_OK);
    assert_int_equal(wh_tok_gguf_create_chat(&t->chat, t->model->gguf, t->tok, &err), WH_OK);
    const wh_engine_opts opts = {.max_rows = 4, .context = 512};
    assert_int_equal(wh_engine_create(&t->engine, t->model, t->tok, t->par, &opts, &err), WH_OK);
}

static void close_trunk(trunk *t)
{
    wh_engine_free(t->engine);
    wh_chat_free(t->chat);
    wh_tok_free(t->tok);
    wh_model_free(t->model);
    wh_par_free(t->par);
}

static void add_sample(wh_fit_problem *p, const trunk *t, const char *text, bool right)
{
    wh_fit_sample *s = &p->samples[p->n];
    *s = (wh_fit_sample){.text = wh_mem_strndup(text, strlen(text)), .text_len = strlen(text), .index = (uint32_t)p->n, .right = right};
    wh_tok_ids ids = {0};
    assert_int_equal(wh_tok_encode(t->tok, &ids, text, strlen(text), WH_TOK_NO_PREFIX, &err), WH_OK);
    s->ids = ids.data;
    s->n_ids = ids.len;
    p->n++;
}

static void make_data(wh_fit_data *d, const trunk *t)
{
    *d = (wh_fit_data){.problems = wh_mem_zalloc(2, sizeof *d->problems), .n = 2};
    memset(d->policy_sha256, 'p', 64);
    for (size_t i = 0; i < 2; i++) {
        wh_fit_problem *p = &d->problems[i];
        memset(p->sha256, i ? '1' : '2', 64);
        p->question = wh_mem_strndup(i ? "What is 2+2?" : "And 3?", i ? 12 : 6);
        p->samples = wh_mem_zalloc(3, sizeof *p->samples);
        add_sample(p, t, "2 + 2 = 4\n\n2 + 2 = 5\n\nThe answer is 4", true);
        add_sample(p, t, "At once: 4.", false);
        add_sample(p, t, "", false);
    }
    assert_int_equal(wh_fit_data_finish(d, 0, 0, &err), WH_OK);
    assert_int_equal(d->n_samples, 6);
    assert_int_equal(d->n_right, 2);
    assert_int_equal(d->problems[0].sha256[0], '1');
}

static float expected[6 * 32];
static size_t n_expected;

static void on_score(void *user, const wh_score_result *r)
{
    (void)user;
    assert_int_equal(r->width, 64);
    n_expected = r->n_positions;
    memcpy(expected, r->values, n_expected * 64 * sizeof(float));
}

static void features_are_what_the_engine_gives(void **state)
{
    (void)state;
    trunk t;
    wh_fit_data data;
    open_trunk(&t);
    make_data(&data, &t);
    wh_store_head head = {.layers = {1, 2}, .n_layers = 2, .d = 32};
    memset(head.trunk_sha256, 'p', 64);
    const wh_features_trunk on = {t.tok, t.chat, t.engine, 4};
    const wh_features_watch watch = {0};
    for (int what = WH_FEATURES_STEPS; what <= WH_FEATURES_PROMPT; what++) {
        wh_features f;
        assert_int_equal(wh_features_open(&f, &data, (wh_features_what)what, &head, path, &err), WH_OK);
        bool prompt = what == WH_FEATURES_PROMPT;
        assert_int_equal(f.n, prompt ? 2 : 6);
        assert_int_equal(f.missing, f.n);
        if (wh_features_compute(&f, &on, &watch, &err) != WH_OK) fail_msg("%s", err.msg);
        assert_int_equal(f.missing, 0);
        assert_int_equal(f.list[0].rows, prompt ? 1 : 3);
        if (!prompt) assert_true(f.list[1].rows == 1 && f.list[2].rows == 0);
        /* The first sample of the first problem by hand: the end of its prompt, or of its last step. */
        const wh_fit_problem *p = &data.problems[0];
        wh_tok_ids ids = {0};
        assert_int_equal(wh_chat_encode_problem(t.chat, &ids, (wh_tok_str){p->question, strlen(p->question)}, (wh_tok_str){"", 0}, &err), WH_OK);
        if (!prompt) {
            for (size_t i = 0; i < p->samples[0].n_ids; i++) assert_int_equal(wh_tok_ids_push(&ids, p->samples[0].ids[i], &err), WH_OK);
            if (what == WH_FEATURES_STEPS) assert_int_equal(wh_tok_encode(t.tok, &ids, "\n\n", 2, WH_TOK_NO_PREFIX, &err), WH_OK);
        }
        const size_t last = ids.len - 1;
        const wh_score_spec spec = {.prefix = ids.data, .n_prefix = ids.len, .positions = &last, .n_positions = 1, .what = WH_SCORE_HIDDEN,
                                    .layers = head.layers, .n_layers = 2, .on_done = on_score};
        assert_int_equal(wh_engine_score(t.engine, NULL, &spec, &err), WH_OK);
        for (bool idle = false; !idle;) assert_int_equal(wh_engine_step(t.engine, &idle, &err), WH_OK);
        float got[64], second[32];
        size_t row = f.list[0].rows - 1;
        wh_features_get(&f, got, &f.list[0], row, head.layers, 2);
        for (size_t i = 0; i < 64; i++) assert_true(got[i] == wh_half_f16_to_f32(wh_half_f32_to_f16(expected[i])));
        wh_features_get(&f, second, &f.list[0], row, head.layers + 1, 1);
        assert_memory_equal(second, got + 32, sizeof second);
        wh_tok_ids_free(&ids);
        assert_int_equal(wh_features_close(&f, &err), WH_OK);
        /* All of it is in the file now. */
        assert_int_equal(wh_features_open(&f, &data, (wh_features_what)what, &head, path, &err), WH_OK);
        assert_int_equal(f.missing, 0);
        float again[64];
        wh_features_get(&f, again, &f.list[0], row, head.layers, 2);
        assert_memory_equal(again, got, sizeof got);
        assert_int_equal(wh_features_close(&f, &err), WH_OK);
    }
    /* A trunk that is not the policy reads texts: other keys, nothing known. */
    wh_features f;
    memset(data.policy_sha256, 'q', 64);
    assert_int_equal(wh_features_open(&f, &data, WH_FEATURES_STEPS, &head, path, &err), WH_OK);
    assert_int_equal(f.missing, 6);
    volatile sig_atomic_t stop = 1;
    const wh_features_watch stopped = {.stop = &stop};
    assert_int_equal(wh_features_compute(&f, &on, &stopped, &err), WH_ERR_CANCELLED);
    assert_int_equal(wh_features_compute(&f, &on, &watch, &err), WH_OK);
    assert_int_equal(f.list[0].rows, 3);
    assert_int_equal(wh_features_close(&f, &err), WH_OK);
    wh_fit_data_free(&data);
    close_trunk(&t);
}

/* ---- heads ----------------------------------------------------------------------------------------------------------------- */

static void make_net(wh_train_result *r, size_t hidden)
{
    *r = (wh_train_result){.l2 = 0.1, .calibration = {.slope = 1, .fails = -1.5, .holds = 0.5, .omits = -1}};
    assert_int_equal(wh_net_create(&r->net, 64, hidden, &err), WH_OK);
    for (size_t i = 0; i < (hidden ? hidden * 66 : 64); i++) r->net.memory[i] = (float)(wh_rng_uniform(5, hidden, i) - 0.5);
    r->net.b2 = 0.25f;
}

static double net_says(const wh_train_result *r, const float *x, wh_prm_evidence evidence)
{
    float logit, *scratch = wh_mem_alloc(wh_net_scratch(&r->net), sizeof *scratch);
    wh_net_run(&r->net, &logit, x, 1, scratch);
    free(scratch);
    return wh_prm_calibrate(&r->calibration, (double)logit, evidence);
}

static void write_head(const wh_train_result *r, wh_head_kind kind, const char *step, const wh_fit_data *data)
{
    static const uint32_t layers[] = {1, 2};
    char sha256[65];
    wh_map map;
    assert_int_equal(wh_file_map(&map, MODEL, &err), WH_OK);
    wh_file_sha256(sha256, map.data, map.size);
    wh_file_unmap(&map);
    const wh_head_metric metrics[] = {{"auc", 0.75}, {"auc_within", NAN}};
    const wh_head_info info = {.kind = kind, .trunk = "tiny", .trunk_sha256 = sha256, .step = step, .labels = "none", .command = "a test",
                               .layers = layers, .n_layers = 2, .rows = 5, .data = data, .result = r, .metrics = metrics, .n_metrics = 2};
    if (wh_head_write(path, &info, &err) != WH_OK) fail_msg("%s", err.msg);
}

static double pass;
static void on_pass(void *user, double p)
{
    (void)user;
    pass = p;
}

static double scores[3];
static void on_scores(void *user, const wh_prm_result *r)
{
    (void)user;
    assert_int_equal(r->n_new, 3);
    memcpy(scores, r->scores, sizeof scores);
}

static void heads_say_what_their_nets_say(void **state)
{
    (void)state;
    trunk t;
    wh_fit_data data;
    open_trunk(&t);
    make_data(&data, &t);
    data.policy_name = wh_mem_strndup("tiny", 4);
    memset(data.policy_sha256, 'q', 64); /* the texts are read, as wh_prm_open does */
    wh_store_head head = {.layers = {1, 2}, .n_layers = 2, .d = 32};
    memset(head.trunk_sha256, 'p', 64);
    const wh_features_trunk on = {t.tok, t.chat, t.engine, 4};
    const wh_features_watch watch = {0};
    const char *steps[] = {"2 + 2 = 4", "2 + 2 = 5", "The answer is 4"};
    for (int what = WH_FEATURES_STEPS; what <= WH_FEATURES_PROMPT; what++)
        for (size_t hidden = 0; hidden <= 32; hidden += 32) {
            wh_features f;
            wh_train_result r;
            float x[64];
            make_net(&r, hidden);
            assert_int_equal(wh_features_open(&f, &data, (wh_features_what)what, &head, NULL, &err), WH_OK);
            assert_int_equal(wh_features_compute(&f, &on, &watch, &err), WH_OK);
            const wh_fit_problem *p = &data.problems[0];
            if (what == WH_FEATURES_PROMPT) {
                write_head(&r, WH_HEAD_DIFFICULTY, "prompt", &data);
                wh_difficulty *d;
                wh_tok_ids ids = {0};
                if (wh_difficulty_open(&d, path, MODEL, t.model, t.par, &err) != WH_OK) fail_msg("%s", err.msg);
                assert_int_equal(wh_difficulty_layers(d), 2);
                assert_int_equal(wh_chat_encode_problem(t.chat, &ids, (wh_tok_str){p->question, strlen(p->question)}, (wh_tok_str){"", 0}, &err),
                                 WH_OK);
                assert_int_equal(wh_difficulty_ask(d, t.engine, ids.data, ids.len, on_pass, NULL, &err), WH_OK);
                assert_int_equal(wh_difficulty_ask(d, t.engine, ids.data, 0, on_pass, NULL, &err), WH_ERR_ARG);
                for (bool idle = false; !idle;) assert_int_equal(wh_engine_step(t.engine, &idle, &err), WH_OK);
                wh_features_get(&f, x, &f.list[0], 0, head.layers, 2);
                assert_true(fabs(pass - net_says(&r, x, (wh_prm_evidence){0})) < 2e-3);
                wh_tok_ids_free(&ids);
                wh_difficulty_free(d);
            } else {
                write_head(&r, WH_HEAD_PRM, what == WH_FEATURES_STEPS ? "blank_line" : "before_blank_line", &data);
                wh_prm *prm;
                const wh_prm_opts opts = {.head = path, .engine = {.max_rows = 2, .context = 512}};
                if (wh_prm_open(&prm, MODEL, &opts, t.par, &err) != WH_OK) fail_msg("%s", err.msg);
                const wh_prm_spec spec = {.question = p->question, .steps = steps, .n_steps = 3, .n_new = 3, .ended = true, .on_done = on_scores};
                assert_int_equal(wh_prm_score(prm, NULL, &spec, &err), WH_OK);
                for (bool idle = false; !idle;) assert_int_equal(wh_prm_step(prm, &idle, &err), WH_OK);
                for (size_t row = 0; row < 3; row++) {
                    wh_features_get(&f, x, &f.list[0], row, head.layers, 2);
                    assert_true(fabs(scores[row] - net_says(&r, x, wh_features_evidence(p, &p->samples[0], row, row == 2))) < 2e-3);
                }
                wh_prm_free(prm);
                wh_difficulty *d;
                assert_int_equal(wh_difficulty_open(&d, path, MODEL, t.model, t.par, &err), WH_ERR_ARG);
                assert_null(d);
            }
            assert_int_equal(wh_features_close(&f, &err), WH_OK);
            wh_train_free(&r);
        }
    wh_fit_data_free(&data);
    close_trunk(&t);
}

static void samples_can_be_limited(void **state)
{
    (void)state;
    trunk t;
    wh_fit_data data;
    open_trunk(&t);
    make_data(&data, &t);
    char before[65];
    memcpy(before, data.sha256, 65);
    assert_int_equal(wh_fit_data_finish(&data, 0, 0, &err), WH_OK);
    assert_string_equal(before, data.sha256);
    assert_int_equal(wh_fit_data_finish(&data, 1, 2, &err), WH_OK);
    assert_true(data.n == 1 && data.n_samples == 2 && data.n_right == 1);
    assert_string_not_equal(before, data.sha256);
    wh_fit_data_free(&data);
    close_trunk(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(states_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(other_states_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(features_are_what_the_engine_gives, setup, teardown),
        cmocka_unit_test_setup_teardown(heads_say_what_their_nets_say, setup, teardown),
        cmocka_unit_test(samples_can_be_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
