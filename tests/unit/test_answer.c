/* answer: the table of pairs, grouping as an equivalence relation, extraction, hostile input, lack of memory. */
#include "answer/answer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TABLE "tests/unit/answer_pairs.tsv"

static bool grade(const char *gold, const char *pred)
{
    bool    equal = false;
    wh_err  err;
    wh_code code = wh_answer_grade(&equal, gold, strlen(gold), pred, strlen(pred), &err);
    assert_int_equal(code, WH_OK);
    return equal;
}

static wh_answer parse(const char *text)
{
    wh_answer a;
    wh_err    err;
    assert_int_equal(wh_answer_parse(&a, text, strlen(text), &err), WH_OK);
    return a;
}

/* ---- the table --------------------------------------------------------------------------------------- */

typedef struct row {
    char *gold, *pred, *verdict, *kind;
} row;

typedef struct table {
    row   *rows;
    size_t n;
    char  *lines[2000];
} table;

static void read_table(table *t)
{
    FILE *f = fopen(TABLE, "r");
    char  line[2000];
    assert_non_null(f);
    *t = (table){0};
    t->rows = calloc(sizeof t->lines / sizeof *t->lines, sizeof *t->rows);
    while (fgets(line, sizeof line, f)) {
        if (*line == '#') continue;
        line[strcspn(line, "\n")] = '\0';
        char *p, *copy = strdup(line);
        while ((p = strstr(copy, "\xE2\x8F\x8E"))) memcpy(p, "\n  ", 3); /* the sign for the end of a line */
        row *r = &t->rows[t->n];
        t->lines[t->n++] = copy;
        char **fields[] = {&r->gold, &r->pred, &r->verdict, &r->kind};
        for (size_t i = 0; i < 4; i++) {
            *fields[i] = strsep(&copy, "\t");
            assert_non_null(*fields[i]);
        }
    }
    fclose(f);
}

static void free_table(table *t)
{
    for (size_t i = 0; i < t->n; i++) free(t->lines[i]);
    free(t->rows);
}

static void every_row_of_the_table(void **state)
{
    (void)state;
    table t;
    int   wrong = 0;
    read_table(&t);
    assert_true(t.n >= 400);
    for (size_t i = 0; i < t.n; i++) {
        const row *r = &t.rows[i];
        bool       expected = !strcmp(r->verdict, "equal");
        assert_true(expected || !strcmp(r->verdict, "different"));
        if (grade(r->gold, r->pred) == expected && grade(r->pred, r->gold) == expected) continue;
        print_message("%s: '%s' and '%s' should be %s\n", r->kind, r->gold, r->pred, r->verdict);
        wrong++;
    }
    free_table(&t);
    assert_int_equal(wrong, 0);
}

/* ---- grouping ---------------------------------------------------------------------------------------- */

static void grouping_is_an_equivalence_relation(void **state)
{
    (void)state;
    table t;
    read_table(&t);
    size_t       n = 2 * t.n, n_groups;
    wh_answer   *a = calloc(n, sizeof *a);
    const char **texts = calloc(n, sizeof *texts);
    int32_t     *group = calloc(n, sizeof *group);
    for (size_t i = 0; i < n; i++) {
        texts[i] = i % 2 ? t.rows[i / 2].pred : t.rows[i / 2].gold;
        a[i] = parse(texts[i]);
    }
    assert_int_equal(wh_answer_group(group, &n_groups, texts, n, NULL), WH_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(wh_answer_equal(&a[i], &a[i]), !wh_answer_is_empty(&a[i]));
        for (size_t j = 0; j < n; j++) {
            bool equal = wh_answer_equal(&a[i], &a[j]);
            assert_int_equal(equal, wh_answer_equal(&a[j], &a[i]));
            /* one number per class: with it, transitivity over all triples */
            assert_int_equal(equal, group[i] == group[j] && group[i] >= 0);
            /* what groups together also grades equal */
            if (equal && i < j && (i + j) % 16 == 0 && !grade(texts[i], texts[j]))
                fail_msg("'%s' and '%s' share a key but grade different", texts[i], texts[j]);
        }
    }
    /* pairs that the table calls different never share a group */
    for (size_t i = 0; i < t.n; i++)
        if (!strcmp(t.rows[i].verdict, "different") && wh_answer_equal(&a[2 * i], &a[2 * i + 1]))
            fail_msg("'%s' and '%s' share a group", t.rows[i].gold, t.rows[i].pred);
    for (size_t i = 0; i < n; i++) wh_answer_free(&a[i]);
    free(a);
    free(texts);
    free(group);
    free_table(&t);
}

/* The partition does not depend on the order; the numbers count first appearances. */
static void grouping_does_not_depend_on_the_order(void **state)
{
    (void)state;
    static const char *const texts[] = {"1/2", "0.5", "",    "\\frac12", "2",  "50\\%",
                                        "2.0", "x=2", "two", "no idea",  NULL, "50"};
    enum { N = sizeof texts / sizeof *texts };
    int32_t first[N];
    size_t  n_groups;
    assert_int_equal(wh_answer_group(first, &n_groups, texts, N, NULL), WH_OK);
    static const int32_t expected[N] = {0, 0, -1, 0, 1, 2, 1, 1, 1, 3, -1, 2};
    assert_memory_equal(first, expected, sizeof first);
    assert_int_equal(n_groups, 4);
    for (uint64_t trial = 0; trial < 200; trial++) {
        size_t      at[N];
        const char *shuffled[N];
        int32_t     group[N];
        for (size_t i = 0; i < N; i++) at[i] = i;
        for (size_t i = N - 1; i > 0; i--) {
            size_t j = wh_rng_u64(1, trial, i) % (i + 1), swap = at[i];
            at[i] = at[j];
            at[j] = swap;
        }
        for (size_t i = 0; i < N; i++) shuffled[i] = texts[at[i]];
        assert_int_equal(wh_answer_group(group, &n_groups, shuffled, N, NULL), WH_OK);
        int32_t next = 0;
        for (size_t i = 0; i < N; i++) {
            if (group[i] == next) next++;
            assert_true(group[i] < next);
            for (size_t j = 0; j < N; j++) assert_int_equal(group[i] == group[j], first[at[i]] == first[at[j]]);
        }
    }
    assert_int_equal(wh_answer_group(first, &n_groups, texts, 0, NULL), WH_OK);
    assert_int_equal(n_groups, 0);
}

/* Ways to write one value that a vote should count together: the keys themselves, without a grader's mercy. */
static void many_spellings_make_one_group(void **state)
{
    (void)state;
    static const char *const classes[][8] = {
        {"\\frac{3\\sqrt{3}}{4}", "3\\sqrt{3}/4", "0.75\\sqrt3", "\\sqrt{\\frac{27}{16}}",
         "\\frac34 \\cdot \\sqrt 3"},
        {"x^2+2x+1", "(x+1)^2", "(x+1)**2", "1+x(x+2)", "\\left(x + 1\\right)^{2}"},
        {"(-\\infty,3]", "x \\le 3", "3 >= x", "x\\in(-\\infty, 3]"},
        {"12", "12.0", "12 apples", "\\$12", "x = 12", "12\\text{ cm}^2", "\\frac{24}{2}", "twelve"},
        {"(C)", "\\text{(C)}", "C", "c", "\\textbf{(C)}", "(C) 12"},
        {"1 \\pm \\sqrt 2", "1+\\sqrt2, 1-\\sqrt2", "\\{1-\\sqrt{2}, 1+\\sqrt{2}\\}",
         "x = 1-\\sqrt2 or x = 1+\\sqrt2"},
        {"2^{4000}", "4^{2000}", "16^{1000}"},
        {"e^{i\\pi/4}", "\\frac{1+i}{\\sqrt2}", "\\cos 45^\\circ + i \\sin 45^\\circ"},
    };
    for (size_t c = 0; c < sizeof classes / sizeof *classes; c++) {
        wh_answer first = parse(classes[c][0]);
        for (size_t k = 1; k < 8 && classes[c][k]; k++) {
            wh_answer a = parse(classes[c][k]);
            if (!wh_answer_equal(&first, &a)) fail_msg("'%s' and '%s' are apart", classes[c][0], classes[c][k]);
            wh_answer_free(&a);
        }
        for (size_t d = 0; d < c; d++) {
            wh_answer other = parse(classes[d][0]);
            assert_false(wh_answer_equal(&first, &other));
            wh_answer_free(&other);
        }
        wh_answer_free(&first);
    }
}

/* ---- extraction -------------------------------------------------------------------------------------- */

static void extraction(void **state)
{
    (void)state;
    static const struct {
        const char     *text, *answer;
        wh_extract_rule rule;
    } cases[] = {
        {"", "", WH_EXTRACT_NONE},
        {"I do not know.", "", WH_EXTRACT_NONE},
        {"So $x = \\boxed{5}$.", "5", WH_EXTRACT_BOXED},
        {"\\boxed{1} then \\boxed{2}", "2", WH_EXTRACT_BOXED},
        {"\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", WH_EXTRACT_BOXED},
        {"\\boxed{\\{1,2\\}}", "\\{1,2\\}", WH_EXTRACT_BOXED},
        {"\\boxed{\\boxed{7}}", "7", WH_EXTRACT_BOXED},
        {"\\fbox{8}", "8", WH_EXTRACT_BOXED},
        {"\\framebox{9} minutes", "9", WH_EXTRACT_BOXED},
        {"$\\boxed 5$ and so on", "5", WH_EXTRACT_BOXED},
        {"$\\boxed{\\frac{1}{2}$ cut off", "\\frac{1}{2}", WH_EXTRACT_BOXED},
        {"\\boxed{12", "12", WH_EXTRACT_BOXED},
        {"\\boxed{3} and then \\boxed{}", "3", WH_EXTRACT_BOXED},
        {"\\boxed{3} and then \\boxed{", "3", WH_EXTRACT_BOXED},
        {"\\boxedtext{3} is 4", "4", WH_EXTRACT_LAST_NUMBER},
        {"\\boxed{}", "", WH_EXTRACT_NONE},
        {"\\boxed{ 5. }", "5", WH_EXTRACT_BOXED},
        {"Final Answer: The final answer is $\\frac{1}{2}$. I hope it is correct.", "$\\frac{1}{2}$",
         WH_EXTRACT_FINAL},
        {"\\boxed{1} The final answer is $2$. I hope it is correct.", "$2$", WH_EXTRACT_FINAL},
        {"He has 3 + 4 = <<3+4=7>>7 left.\n#### 7", "7", WH_EXTRACT_HASHES},
        {"#### 1,234\nmore text 5", "1,234", WH_EXTRACT_HASHES},
        {"#### -3", "-3", WH_EXTRACT_HASHES},
        {"The answer is 12. There were 13 before.", "12", WH_EXTRACT_ANSWER_IS},
        {"the answer is $\\frac{3}{4}$, as 3 < 4.", "\\frac{3}{4}", WH_EXTRACT_ANSWER_IS},
        {"The answer is: 3.5", "3.5", WH_EXTRACT_ANSWER_IS},
        {"The ANSWER IS:\n\n42", "42", WH_EXTRACT_ANSWER_IS},
        {"**Answer:** 42", "42", WH_EXTRACT_ANSWER_IS},
        {"The answer is $18 per day.", "$18 per day", WH_EXTRACT_ANSWER_IS},
        {"The answer is 5. No, the answer is 6.", "6", WH_EXTRACT_ANSWER_IS},
        {"so we get $x = \\frac{3}{4}$.", "\\frac{3}{4}", WH_EXTRACT_LAST_MATH},
        {"There are 12 eggs and 3 ducks left.", "3", WH_EXTRACT_LAST_NUMBER},
        {"That makes $1,234.50.", "1,234.50", WH_EXTRACT_LAST_NUMBER},
        {"It is 3/4 of it", "3/4", WH_EXTRACT_LAST_NUMBER},
        {"The change is -5 degrees", "-5", WH_EXTRACT_LAST_NUMBER},
        {"pages 10-15 were read", "15", WH_EXTRACT_LAST_NUMBER},
        /* A thought: what follows it comes first; in it a number alone means nothing. */
        {"<think>\nPerhaps \\boxed{3}. Or 4?\n</think>\n\nThere are 5.", "5", WH_EXTRACT_LAST_NUMBER},
        {"so it is \\boxed{3}.\n</think>\n\nIt is \\boxed{4}.", "4", WH_EXTRACT_BOXED},
        {"<think>It is \\boxed{3}, I think.</think>", "3", WH_EXTRACT_BOXED},
        {"<think>first 12</think> then <think>13", "", WH_EXTRACT_NONE},
        {"<think>\nSo far 17 and", "", WH_EXTRACT_NONE},
        {"<think>\nSo far \\boxed{17} and 18", "17", WH_EXTRACT_BOXED},
    };
    static const struct {
        const char *text;
        bool        open;
        size_t      end;
    } thoughts[] = {{"", false, 0}, {"abc", false, 0}, {"abc", true, 3}, {"a</think>b", true, 9}, {"a</think>b", false, 9},
                    {"<think>a", false, 8}, {"<think>a</think>b</think>c", false, 25}, {"a</think><think>b", true, 17}};
    for (size_t i = 0; i < sizeof thoughts / sizeof *thoughts; i++)
        assert_int_equal(wh_extract_thought(thoughts[i].text, strlen(thoughts[i].text), thoughts[i].open), thoughts[i].end);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wh_buf          out = {0};
        wh_extract_rule rule;
        assert_int_equal(wh_extract_answer(&out, &rule, cases[i].text, strlen(cases[i].text), NULL), WH_OK);
        if (strcmp(wh_buf_str(&out), cases[i].answer) || rule != cases[i].rule)
            fail_msg("'%s': '%s' by %s, expected '%s' by %s", cases[i].text, wh_buf_str(&out),
                     wh_extract_rule_name(rule), cases[i].answer, wh_extract_rule_name(cases[i].rule));
        wh_buf_free(&out);
    }
}

/* ---- hostile input ----------------------------------------------------------------------------------- */

/* unit repeated to n bytes */
static char *repeat(const char *unit, size_t n)
{
    char  *s = malloc(n + 1);
    size_t len = strlen(unit);
    for (size_t i = 0; i < n; i++) s[i] = unit[i % len];
    s[n] = '\0';
    return s;
}

/* A megabyte costs some hundredths of a second; the limit leaves room for sanitizers, emulators and busy machines. */
static void hostile_input_costs_bounded_time(void **state)
{
    (void)state;
    static const char *const units[] = {
        "(", "{", "[", "\\{", "\\boxed{", "\\boxed{}", "\\boxed", "$", "#", "####", "answer is ",
        "answer:\n", "\\frac", "\\frac{1}{", "x^", "9^", "-", "!", "5!", "1000!", "|", "1,", "1,000,",
        "\\pm1", "\\sqrt", "\\sqrt{", "\\text{", "\\begin{pmatrix}", "1&", "\\\\", "x_", "\\overline{",
        "0.\\overline{3}", "9", ".", "/", "1/", "\\binom{999}{500}+", "x^{99}+", "\\in", "<", "x<",
        "\\cup", "e", "1e9", "\\circ", "\\", "\xF0\x9F\x98\x80", "\xC2", " ", "\n", "I hope",
        "final answer is ", "{1\\over ", "\\log_", "\\sin", "\\sin^", "\\{1,2,\\{", "=", ":", "'"
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        static const size_t sizes[] = {60, WH_ANSWER_MAX - 8, WH_ANSWER_MAX, 1 << 20};
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            char  *s = repeat(units[i], sizes[k]);
            double begin = wh_clock_now();
            bool   same = grade(s, s);
            (void)grade(s, "(1,2)");
            wh_answer a = parse(s);
            if (!wh_answer_is_empty(&a)) assert_true(same || sizes[k] > 0);
            wh_answer_free(&a);
            if (wh_clock_now() - begin > 20)
                fail_msg("%zu bytes of '%s' took %.1f s", sizes[k], units[i], wh_clock_now() - begin);
            free(s);
        }
    }
    /* numbers without end */
    static const char *const big[] = {"9^9^9^9",
                                      "9^{9^{9^9}}",
                                      "10^{10^{10}}",
                                      "((100000!)!)!",
                                      "2^{-99999999999}",
                                      "0^{-1}",
                                      "0^0",
                                      "1e9999",
                                      "10^{999999999}",
                                      "\\sqrt{10^{400}}",
                                      "\\ln 0",
                                      "\\tan 90^\\circ",
                                      "\\binom{10^9}{5\\cdot 10^8}",
                                      "(-1)^{1/2}",
                                      "\\infty - \\infty",
                                      "\\lfloor 10^{300} \\rfloor",
                                      "\\log_1 5",
                                      "(1/0)!",
                                      "e^{e^{e^{e^e}}}"};
    for (size_t i = 0; i < sizeof big / sizeof *big; i++) {
        assert_true(grade(big[i], big[i]));
        assert_false(grade(big[i], "7"));
    }
    /* sets of sets: matching every element with every other must give up, not explode */
    char *sets[2];
    for (int side = 0; side < 2; side++) {
        wh_buf b = {0};
        for (int i = 0; i < 30; i++) {
            wh_buf_puts(&b, i ? ",\\{" : "\\{\\{");
            for (int j = 0; j < 30; j++) wh_buf_printf(&b, "%s%d.%d", j ? "," : "", j, i + side);
            wh_buf_puts(&b, "\\}");
        }
        wh_buf_puts(&b, "\\}");
        sets[side] = strdup(b.data);
        wh_buf_free(&b);
    }
    double begin = wh_clock_now();
    assert_false(grade(sets[0], sets[1]));
    assert_true(wh_clock_now() - begin < 20);
    free(sets[0]);
    free(sets[1]);
}

static void bytes_of_any_kind(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 3000; trial++) {
        static const char alphabet[] = "0123456789+-*/^_(){}[]|,.;:=<>!$%\\&'xyei \n\0\xC2\xB0\xE2\x88\x9A\xFF";
        char              text[64];
        size_t            n = wh_rng_u64(7, trial, 0) % sizeof text;
        for (size_t i = 0; i < n; i++) text[i] = alphabet[wh_rng_u64(7, trial, i + 1) % (sizeof alphabet - 1)];
        wh_answer a;
        bool      equal;
        assert_int_equal(wh_answer_parse(&a, text, n, NULL), WH_OK);
        assert_int_equal(wh_answer_grade(&equal, text, n, text, n, NULL), WH_OK);
        wh_answer_free(&a);
    }
}

static void lack_of_memory_is_reported(void **state)
{
    (void)state;
    static const char *const texts[] = {"\\boxed{\\frac{1}{2}, 3}", "{\\pm 1}"};
    for (long k = 0; k < 200; k++) {
        bool    equal;
        int32_t group[2];
        size_t  n;
        wh_err  err;
        wh_mem_fail_after(k);
        wh_code code = wh_answer_grade(&equal, texts[0], strlen(texts[0]), texts[1], strlen(texts[1]), &err);
        wh_mem_fail_after(k);
        wh_code grouped = wh_answer_group(group, &n, texts, 2, &err);
        wh_mem_fail_after(-1);
        assert_true(code == WH_OK || code == WH_ERR_NOMEM);
        assert_true(grouped == WH_OK || grouped == WH_ERR_NOMEM);
        if (k == 0) assert_int_equal(grouped, WH_ERR_NOMEM);
        if (k == 199) assert_int_equal(grouped, WH_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table),
        cmocka_unit_test(grouping_is_an_equivalence_relation),
        cmocka_unit_test(grouping_does_not_depend_on_the_order),
        cmocka_unit_test(many_spellings_make_one_group),
        cmocka_unit_test(extraction),
        cmocka_unit_test(hostile_input_costs_bounded_time),
        cmocka_unit_test(bytes_of_any_kind),
        cmocka_unit_test(lack_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
