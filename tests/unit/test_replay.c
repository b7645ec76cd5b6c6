/* Banks from journals, and what policies come to on banks whose best allocation is known. */
#include "base/file.h"
#include "base/rng.h"
#include "journal/journal.h"
#include "plan/calibrate.h"
#include "plan/imagine.h"
#include "plan/replay.h"
#include "search/strategy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

static char folder[64], path_a[96], path_b[96], path_c[96], bank_path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/whet_replay_XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path_a, sizeof path_a, "%s/a", folder);
    snprintf(path_b, sizeof path_b, "%s/b", folder);
    snprintf(path_c, sizeof path_c, "%s/c", folder);
    snprintf(bank_path, sizeof bank_path, "%s/bank", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path_a);
    unlink(path_b);
    unlink(path_c);
    unlink(bank_path);
    return rmdir(folder);
}

static void must(wh_code code, const wh_err *err)
{
    if (code != WH_OK) fail_msg("%s", err->msg);
}

/* ---- from journals ------------------------------------------------------------------------------------------------- */

static const wh_cost cost = {.body = 700, .head = 300, .attn_per_key = 2, .params = 500};
enum { PROMPT = 10 };

static json_t *run_of(const char *policy, const char *strategy, int n)
{
    return json_pack("{s:{s:s}, s:{s:s, s:s}, s:n, s:{s:s, s:i, s:f}, s:i}", "data", "sha256", "d", "policy", "name", policy, "sha256", policy,
                     "prm", "search", "strategy", strategy, "n", n, "temperature", 0.7, "seed", 0);
}

static json_t *ledger(const wh_ledger *l)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "linear", (json_int_t)l->linear, "attention", (json_int_t)l->attention, "head",
                     (json_int_t)l->head, "prefill_tokens", (json_int_t)l->prefill_tokens, "decode_tokens", (json_int_t)l->decode_tokens,
                     "reused_tokens", (json_int_t)l->reused_tokens);
}

/* answers: "7 8 7"; those that are "7" are right. Sample i has 20 + i tokens, its end token not counted. */
static void add_problem(wh_journal *j, int line, const char *sha256, const char *answers, bool scored)
{
    json_t *records = json_array();
    char copy[200], *save = NULL;
    int n = 0;
    wh_ledger l = {.prefill_tokens = PROMPT}, prm = {.linear = scored ? 1000 : 0};
    wh_ledger_count(&l, &cost, 0, PROMPT, 0);
    snprintf(copy, sizeof copy, "%s", answers);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save), n++) {
        json_t *scores = scored ? json_pack("[f, f]", 0.25, 0.5 + 0.01 * n) : json_null();
        json_array_append_new(records, json_pack("{s:s, s:i, s:i, s:s, s:s, s:i, s:s, s:b, s:o}", "record", "sample", "line", line, "sample", n,
                                                 "text", "...", "answer", strcmp(w, "-") ? w : "", "tokens", 20 + n, "stop", "eos", "correct",
                                                 strcmp(w, "7") == 0, "scores", scores));
        l.decode_tokens += (uint64_t)(21 + n);
        wh_ledger_count(&l, &cost, PROMPT, (uint64_t)(20 + n), (uint64_t)(21 + n));
    }
    json_array_append_new(records, json_pack("{s:s, s:i, s:s, s:s, s:{s:i, s:i}, s:o, s:o}", "record", "problem", "line", line, "id", sha256,
                                             "problem_sha256", sha256, "sizes", "prompt_tokens", PROMPT, "samples", n, "policy", ledger(&l),
                                             "prm", ledger(&prm)));
    wh_err err;
    must(wh_journal_append(j, records, &err), &err);
    json_decref(records);
}

static wh_journal *begin(const char *path, const char *policy, const char *strategy, int n)
{
    wh_journal *j;
    wh_err err;
    json_t *run = run_of(policy, strategy, n);
    must(wh_journal_open(&j, path, run, NULL, NULL, NULL, &err), &err);
    json_decref(run);
    return j;
}

static void test_bank(void **state)
{
    (void)state;
    wh_err err;
    wh_journal *j = begin(path_a, "m", "best_of_n", 3);
    add_problem(j, 1, "p1", "7 8 7.0", true);
    add_problem(j, 2, "p2", "- 9 8", true);
    must(wh_journal_close(j, &err), &err);
    j = begin(path_b, "m", "best_of_n", 2); /* another part, with fewer samples */
    add_problem(j, 5, "p3", "1 2", true);
    must(wh_journal_close(j, &err), &err);
    j = begin(path_c, "m", "beam", 4);
    add_problem(j, 2, "p2", "8 7", true);
    add_problem(j, 9, "unknown", "8 7", true);
    must(wh_journal_close(j, &err), &err);
    const char *const all[] = {path_c, path_a, path_b};
    size_t n;
    must(wh_bank_make(bank_path, &(wh_bank_sources){.journals = all, .n_journals = 3}, &n, &err), &err);
    assert_int_equal(n, 3);
    wh_bank b;
    must(wh_bank_read(&b, bank_path, &err), &err);
    assert_int_equal(b.n, 3);
    assert_true(b.scored);
    assert_int_equal(b.cost.body, cost.body);
    assert_int_equal(b.cost.head, cost.head);
    assert_int_equal(b.cost.attn_per_key, cost.attn_per_key);
    const wh_bank_problem *p = b.problems;
    assert_string_equal(p[0].id, "p1");
    assert_int_equal(p[0].n, 3);
    assert_int_equal(p[0].n_groups, 2); /* 7 and 7.0 are one */
    assert_int_equal(p[0].samples[2].group, 0);
    assert_int_equal(p[0].n_right, 1);
    assert_int_equal(p[0].samples[1].tokens, 21);
    assert_int_equal(p[0].samples[1].n_scores, 2);
    assert_true(fabs(p[0].samples[1].scores[1] - 0.51) < 1e-9);
    double flops = p[0].prompt_flops, prm = 0;
    for (int i = 0; i < 3; i++) {
        flops += p[0].samples[i].flops;
        prm += p[0].samples[i].prm_flops;
    }
    wh_ledger want = {0};
    wh_ledger_count(&want, &cost, 0, PROMPT, 0);
    for (uint64_t i = 0; i < 3; i++) wh_ledger_count(&want, &cost, PROMPT, 20 + i, 21 + i);
    assert_true(fabs(flops - (double)wh_ledger_total(&want)) < 1);
    assert_true(fabs(prm - 1000) < 3);
    assert_int_equal(p[1].samples[0].group, -1);
    assert_int_equal(p[1].n_runs, 1);
    assert_int_equal(p[1].runs[0].n, 2);
    assert_int_equal(p[1].runs[0].samples[0].group, p[1].samples[2].group); /* both say 8 */
    assert_true(p[1].runs[0].samples[1].right && p[1].runs[0].prm_flops == 1000);
    assert_int_equal(p[0].n_runs + p[2].n_runs, 0);
    assert_int_equal(b.n_searches, 1);
    wh_bank_free(&b);
}

static void test_bank_refused(void **state)
{
    (void)state;
    wh_err err;
    size_t n;
    wh_journal *j = begin(path_a, "m", "best_of_n", 3);
    add_problem(j, 1, "p1", "7 8 7", false);
    must(wh_journal_close(j, &err), &err);
    j = begin(path_b, "other", "best_of_n", 3);
    add_problem(j, 5, "p3", "1 2 3", false);
    must(wh_journal_close(j, &err), &err);
    const char *const two[] = {path_a, path_b}, *const twice[] = {path_a, path_a}, *const none[] = {bank_path};
    assert_int_equal(wh_bank_make(bank_path, &(wh_bank_sources){.journals = two, .n_journals = 2}, &n, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "another policy"));
    assert_int_equal(wh_bank_make(bank_path, &(wh_bank_sources){.journals = twice, .n_journals = 2}, &n, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "another journal"));
    assert_int_not_equal(wh_bank_make(bank_path, &(wh_bank_sources){.journals = none, .n_journals = 1}, &n, &err), WH_OK);
    wh_bank b;
    assert_int_equal(wh_bank_read(&b, path_a, &err), WH_ERR_FORMAT); /* a journal is no bank */
    wh_bank_free(&b);
    must(wh_bank_make(bank_path, &(wh_bank_sources){.journals = two, .n_journals = 1}, &n, &err), &err);
    wh_buf file = {0};
    must(wh_file_read(&file, bank_path, 1 << 20, &err), &err);
    for (size_t cut = 0; cut < file.len; cut += 7) {
        must(wh_file_write(bank_path, file.data, cut, &err), &err);
        assert_int_equal(wh_bank_read(&b, bank_path, &err), WH_ERR_FORMAT);
        wh_bank_free(&b);
    }
    wh_buf_free(&file);
}

/* ---- made by hand --------------------------------------------------------------------------------------------------- */

enum { KIND = 20, SAMPLES = 24 };

/* 20 problems that are always right, 20 whose samples are all wrong and never agree, and 20 that are right with 0.5 and
 * otherwise wrong in many ways. */
static void make_three_kinds(void)
{
    wh_buf text = {0};
    wh_buf_puts(&text, "{\"bank\":\"whet\",\"version\":1,\"searches\":[],\"cost\":{\"body\":700,\"head\":300,\"attn_per_key\":1,\"params\":500}}\n");
    for (int i = 0; i < 3 * KIND; i++) {
        int kind = i / KIND, groups[SAMPLES], next = 0;
        wh_buf right = {0}, list = {0}, tokens = {0};
        int right_group = -1;
        for (int k = 0; k < SAMPLES; k++) {
            bool ok = kind == 0 || (kind == 2 && (k + i) % 2 == 0);
            if (ok && right_group < 0) right_group = next++;
            groups[k] = ok ? right_group : next++;
            wh_buf_printf(&list, "%s%d", k ? "," : "", groups[k]);
            wh_buf_printf(&tokens, "%s%d", k ? "," : "", 100 + (7 * k + i) % 40);
            wh_buf_putc(&right, ok ? '1' : '0');
        }
        wh_buf_printf(&text, "{\"line\":%d,\"id\":\"%d\",\"prompt\":30,\"groups\":[%s],\"right\":\"%s\",\"tokens\":[%s]}\n", i + 1, i + 1,
                      wh_buf_str(&list), wh_buf_str(&right), wh_buf_str(&tokens));
        wh_buf_free(&right);
        wh_buf_free(&list);
        wh_buf_free(&tokens);
    }
    size_t bound = ZSTD_compressBound(text.len);
    char *out = malloc(bound);
    assert_non_null(out);
    size_t size = ZSTD_compress(out, bound, text.data, text.len, 3);
    wh_err err;
    must(wh_file_write(bank_path, out, size, &err), &err);
    free(out);
    wh_buf_free(&text);
}

enum { ORDERS = 8 };

typedef struct stage {
    wh_bank        bank;
    wh_profile     profile;
    wh_params      params;
    wh_replay_spec spec;
    wh_outcome     list[ORDERS * 3 * KIND];
    wh_runs        runs;
} stage;

static stage the;

static void play(const char *policy, double budget)
{
    wh_err err;
    must(wh_policy_parse(&the.spec.policy, &the.params, policy, &the.profile, &err), &err);
    the.spec.params = &the.params;
    the.spec.profile = &the.profile;
    the.spec.vote = &wh_vote_majority;
    the.spec.budget = budget;
    the.spec.orders = ORDERS;
    must(wh_replay(the.list, &the.bank, &the.spec, &err), &err);
    the.runs = (wh_runs){the.list, ORDERS, the.bank.n};
}

static double samples_of(int kind)
{
    double sum = 0;
    for (size_t r = 0; r < ORDERS; r++)
        for (int i = kind * KIND; i < (kind + 1) * KIND; i++) sum += the.list[r * 3 * KIND + (size_t)i].n;
    return sum / (ORDERS * KIND);
}

static double unit(void)
{
    play("fixed:n=1", INFINITY);
    return wh_runs_flops(&the.runs);
}

static void open_bank(void)
{
    wh_err err;
    make_three_kinds();
    must(wh_bank_read(&the.bank, bank_path, &err), &err);
    wh_profile_priors(&the.profile);
    the.profile.tokens = 120;
    the.profile.votes = (wh_belief_model){0.5, 0.5, 10};
}

static void test_fixed(void **state)
{
    (void)state;
    open_bank();
    play("fixed:n=1", INFINITY);
    assert_true(fabs(wh_runs_accuracy(&the.runs) - 0.5) < 0.06); /* 20 + 10 of 60 */
    play("fixed:n=24", INFINITY); /* all of the bank: no order matters */
    assert_true(wh_runs_accuracy(&the.runs) == 40.0 / 60);
    double flops = 0;
    for (size_t i = 0; i < the.bank.n; i++) {
        flops += the.bank.problems[i].prompt_flops / (double)the.bank.n;
        for (size_t k = 0; k < SAMPLES; k++) flops += the.bank.problems[i].samples[k].flops / (double)the.bank.n;
    }
    assert_true(fabs(wh_runs_flops(&the.runs) / flops - 1) < 1e-12);
    play("fixed:n=100", INFINITY); /* more than there are */
    assert_int_equal(the.list[0].n, SAMPLES);
    assert_int_equal(the.list[0].why, WH_WHY_MOST);
    wh_bank_free(&the.bank);
}

static void test_set(void **state)
{
    (void)state;
    open_bank();
    double one = unit();
    static const double budgets[] = {0.5, 1, 2, 3, 6};
    for (size_t k = 0; k < sizeof budgets / sizeof budgets[0]; k++) {
        play("set", budgets[k] * one);
        for (size_t r = 0; r < ORDERS; r++) {
            double spent = 0, total = budgets[k] * one * (double)the.bank.n;
            for (size_t i = 0; i < the.bank.n; i++) spent += the.list[r * the.bank.n + i].policy;
            if (spent > total * (1 + 1e-12) || spent < 0.98 * total) fail_msg("%g of a budget of %g spent", spent, total);
        }
    }
    /* Easy problems are left alone once they agree; hopeless ones are tried, and dropped; compute goes where it helps. */
    play("set", 6 * one);
    assert_true(samples_of(0) <= 5);
    assert_true(samples_of(2) > samples_of(0));
    assert_true(wh_runs_accuracy(&the.runs) >= 39.0 / 60);
    double accuracy = wh_runs_accuracy(&the.runs);
    play("fixed:n=7", INFINITY); /* about as much, spread evenly */
    assert_true(accuracy > wh_runs_accuracy(&the.runs));
    wh_bank_free(&the.bank);
}

static void test_adaptive(void **state)
{
    (void)state;
    open_bank();
    double one = unit();
    static const double budgets[] = {0.3, 1, 2, 5, 12};
    for (size_t k = 0; k < sizeof budgets / sizeof budgets[0]; k++) {
        play("adaptive", budgets[k] * one);
        for (size_t i = 0; i < ORDERS * the.bank.n; i++)
            if (the.list[i].policy > budgets[k] * one * (1 + 1e-12)) fail_msg("%g of a budget of %g spent", the.list[i].policy, budgets[k] * one);
    }
    assert_true(samples_of(0) <= 4);
    assert_true(samples_of(2) > samples_of(0));
    assert_true(wh_runs_accuracy(&the.runs) >= 38.0 / 60);
    /* The same run again is the same run. */
    wh_outcome *before = malloc(sizeof the.list);
    assert_non_null(before);
    memcpy(before, the.list, sizeof the.list);
    play("adaptive", 12 * one);
    for (size_t i = 0; i < ORDERS * the.bank.n; i++) assert_true(before[i].n == the.list[i].n && before[i].policy == the.list[i].policy);
    free(before);
    wh_bank_free(&the.bank);
}

static void test_comparisons(void **state)
{
    (void)state;
    open_bank();
    wh_err err;
    static wh_outcome lists[4][ORDERS * 3 * KIND];
    static const char *const names[] = {"fixed:n=1", "fixed:n=3", "fixed:n=9", "fixed:n=24"};
    wh_runs fixed[4];
    for (int k = 0; k < 4; k++) {
        play(names[k], INFINITY);
        memcpy(lists[k], the.list, sizeof the.list);
        fixed[k] = (wh_runs){lists[k], ORDERS, the.bank.n};
    }
    const wh_curve curve = {fixed, 4};
    /* A point of the curve is no better than the curve, and its interval holds nothing else. */
    wh_versus v;
    must(wh_replay_versus(&v, &fixed[2], &curve, &curve, 200, 1, &err), &err);
    assert_true(v.against.mean == 0 && v.against.low == 0 && v.against.high == 0);
    assert_true(v.accuracy.low < v.accuracy.mean && v.accuracy.mean < v.accuracy.high);
    assert_true(v.oracle.mean >= 0);
    wh_interval x;
    must(wh_replay_reach(&x, fixed, 4, &fixed[2], 200, 1, &err), &err);
    assert_true(x.mean > 0 && x.mean <= 1);
    /* The oracle: 20 easy problems cost one sample each, 20 are not touched, and the rest goes to the others. */
    double accuracy, least = wh_runs_flops(&fixed[0]);
    must(wh_replay_oracle(&accuracy, &curve, least / 3, &err), &err);
    assert_true(fabs(accuracy - 20.0 / 60) < 0.02);
    must(wh_replay_oracle(&accuracy, &curve, wh_runs_flops(&fixed[3]), &err), &err);
    assert_true(fabs(accuracy - 40.0 / 60) < 1e-9);
    for (int k = 0; k < 4; k++) {
        must(wh_replay_oracle(&accuracy, &curve, wh_runs_flops(&fixed[k]), &err), &err);
        assert_true(accuracy >= wh_runs_accuracy(&fixed[k]) - 1e-12);
    }
    wh_bank_free(&the.bank);
}

/* What is drawn from a model of votes is fitted by that model; the policy with it beats fixed N, on problems it was not
 * chosen on, and the estimators that look at samples know easy problems from hard ones. */
static void test_calibrate(void **state)
{
    (void)state;
    const wh_belief_model m = {0.6, 0.9, 5};
    wh_bank bank;
    wh_err err;
    const wh_imagine imagined = {.votes = &m, .cost = &cost, .prompt_tokens = 40, .tokens = 200, .problems = 400, .samples = 16, .seed = 7};
    must(wh_bank_imagine(&bank, &imagined, &err), &err);
    assert_int_equal(bank.n, 400);
    json_t *json;
    const wh_calibrate_spec spec = {.vote = &wh_vote_majority, .orders = 4};
    must(wh_calibrate(&json, &bank, &spec, &err), &err);
    wh_profile p;
    must(wh_profile_take(&p, json, "here", &err), &err);
    assert_true(p.fitted && p.n == 400 && fabs(p.tokens - 200) < 1e-9);
    assert_true(fabs(p.votes.a / m.a - 1) < 0.2 && fabs(p.votes.b / m.b - 1) < 0.2 && fabs(p.votes.theta / m.theta - 1) < 0.2);
    double gain = json_number_value(json_object_get(json_object_get(json, "cross_validated"), "gain_over_fixed"));
    assert_true(gain > 0.01 && gain < 0.2);
    assert_int_equal(p.n_rows, 3 * 5); /* three bins, N = 1 .. 16 */
    for (size_t i = 0; i < p.n_rows; i++) assert_true(p.rows[i].low <= p.rows[i].accuracy && p.rows[i].accuracy <= p.rows[i].high);
    const wh_policy *policy;
    wh_params params;
    must(wh_policy_parse(&policy, &params, "adaptive", &p, &err), &err);
    /* Mean squared error of pass@1: the estimators against saying the mean of all. */
    double mean = 0, base = 0, squares = 0;
    wh_calibrate_said *said = malloc(400 * sizeof *said);
    assert_non_null(said);
    for (size_t i = 0; i < 400; i++) mean += (double)bank.problems[i].n_right / 16 / 400;
    size_t hits[3] = {0};
    const wh_estimator *const looking[] = {&wh_estimator_pilot, &wh_estimator_posterior, &wh_estimator_oracle};
    for (size_t e = 0; e < 3; e++) {
        base = squares = 0;
        must(wh_calibrate_estimate(said, &bank, looking[e], &p, NULL, 4, 1, 1, &err), &err);
        for (size_t i = 0; i < 400; i++) {
            double truth = said[i].pass, pass = said[i].estimate.pass;
            base += (truth - mean) * (truth - mean);
            hits[e] += wh_bin_likeliest(&said[i].estimate) == wh_bin_of(truth);
            squares += (truth - pass) * (truth - pass);
        }
        assert_true(squares < 0.75 * base);
    }
    assert_true(squares == 0 && hits[2] == 400); /* the oracle */
    if (hits[0] < 190 || hits[1] < 190) fail_msg("%zu, %zu bins are right", hits[0], hits[1]); /* the largest class: 170 or so */
    must(wh_calibrate_estimate(said, &bank, &wh_estimator_prompt, &p, NULL, 4, 1, 1, &err), &err);
    assert_true(isnan(said[0].estimate.pass)); /* nobody has looked at the prompt */
    free(said);
    bank.n = 10;
    assert_int_equal(wh_calibrate(&json, &bank, &spec, &err), WH_ERR_ARG);
    wh_profile_free(&p);
    wh_bank_free(&bank);
}

/* The pilot is to say what it has not seen: with a profile from 4 samples of each problem its errors, on problems with many
 * samples, are as large as its Beta distributions say. */
static void test_calibrate_pilot(void **state)
{
    (void)state;
    enum { PROBLEMS = 400, MANY = 64 };
    const wh_belief_model m = {0.6, 0.9, 5};
    wh_imagine imagined = {.votes = &m, .cost = &cost, .prompt_tokens = 40, .tokens = 200, .problems = PROBLEMS, .samples = 4, .seed = 7};
    const wh_calibrate_spec spec = {.vote = &wh_vote_majority, .orders = 4};
    static wh_calibrate_said said[PROBLEMS];
    wh_bank few, many;
    wh_profile p;
    wh_err err;
    json_t *json;
    must(wh_bank_imagine(&few, &imagined, &err), &err);
    must(wh_calibrate(&json, &few, &spec, &err), &err);
    must(wh_profile_take(&p, json, "here", &err), &err);
    imagined.samples = MANY;
    imagined.seed = 8;
    must(wh_bank_imagine(&many, &imagined, &err), &err);
    must(wh_calibrate_estimate(said, &many, &wh_estimator_pilot, &p, NULL, 4, 1, 1, &err), &err);
    double squares = 0, expected = 0;
    for (size_t i = 0; i < PROBLEMS; i++) {
        double pass = said[i].estimate.pass, truth = said[i].pass;
        squares += (pass - truth) * (pass - truth);
        expected += pass * (1 - pass) / (p.sure_pilot + 1);
    }
    if (squares > 1.2 * expected || expected > 1.5 * squares)
        fail_msg("squared error %.3f, as said %.3f", squares / PROBLEMS, expected / PROBLEMS);
    wh_profile_free(&p);
    wh_bank_free(&few);
    wh_bank_free(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bank, setup, teardown),     cmocka_unit_test_setup_teardown(test_bank_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fixed, setup, teardown),    cmocka_unit_test_setup_teardown(test_set, setup, teardown),
        cmocka_unit_test(test_calibrate), cmocka_unit_test(test_calibrate_pilot),
        cmocka_unit_test_setup_teardown(test_adaptive, setup, teardown), cmocka_unit_test_setup_teardown(test_comparisons, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
