/* The option parser and the suggestions. */
#include "app/opt.h"
#include "app/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct values {
    bool        json;
    int64_t     n;
    double      temperature;
    uint64_t    memory;
    const char *policy, *color;
    wh_opt_ints batch;
    wh_opt_strings journals;
    wh_opt_part shard;
} values;

static const wh_opt table[] = {
    WH_OPT_INTS(values, batch, "batch", "B,...", "1,4", 1, 4096, "batch sizes"),
    WH_OPT_CHOICE(values, color, "color", "WHEN", "auto", "auto never always", "colours"),
    WH_OPT_STRINGS(values, journals, "journal", "FILE", "journals"),
    WH_OPT_FLAG(values, json, "json", "as JSON"),
    WH_OPT_SIZE(values, memory, "memory", "SIZE", "2G", "memory"),
    WH_OPT_INT(values, n, "n", "N", "16", 1, 65536, "samples"),
    WH_OPT_STRING(values, policy, "policy", "MODEL", NULL, "the model"),
    WH_OPT_PART(values, shard, "shard", "a part"),
    WH_OPT_FLOAT(values, temperature, "temperature", "T", "0.7", 0, 10, "softness"),
};
enum { N = sizeof table / sizeof table[0] };

static values v;
static bool   given[N];
static char  *args[16];
static size_t n_args;
static bool   help;
static wh_err err;

/* The words up to NULL, with at most two arguments allowed. */
static wh_code parse_with(bool dash_args, const char *const *words)
{
    int argc = 0;
    for (; words[argc]; argc++) args[argc] = (char *)(uintptr_t)words[argc];
    args[argc] = NULL;
    v = (values){0};
    err = (wh_err){0};
    const wh_opt_group groups[] = {{NULL, table, N, &v, given}};
    const wh_opt_spec spec = {"test", "[options] A B", "A test.", groups, 1, 0, 2, dash_args};
    return wh_opt_parse(&spec, argc, args, &n_args, &help, &err);
}
#define PARSE(...) parse_with(false, (const char *const[]){__VA_ARGS__, NULL})

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse_with(false, (const char *const[]){NULL}), WH_OK);
    assert_false(v.json);
    assert_int_equal(v.n, 16);
    assert_true(v.temperature > 0.69 && v.temperature < 0.71);
    assert_true(v.memory == (uint64_t)2 << 30);
    assert_null(v.policy);
    assert_string_equal(v.color, "auto");
    assert_int_equal(v.batch.n, 2);
    assert_int_equal(v.batch.v[1], 4);
    for (int i = 0; i < N; i++) assert_false(given[i]);
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(PARSE("first", "--n", "4", "--temperature=1.5", "--json", "--memory=512M", "second", "--batch", "1,16,64",
                           "--policy", "-"), WH_OK);
    assert_int_equal(n_args, 2);
    assert_string_equal(args[0], "first");
    assert_string_equal(args[1], "second");
    assert_true(v.json && v.n == 4 && v.temperature == 1.5 && v.memory == (uint64_t)512 << 20);
    assert_string_equal(v.policy, "-");
    assert_true(v.batch.n == 3 && v.batch.v[2] == 64);
    assert_true(given[5] && !given[1]);
    assert_int_equal(PARSE("-n", "4"), WH_OK);
    assert_int_equal(v.n, 4);
    assert_int_equal(PARSE("--n", "4", "--n=5"), WH_OK);
    assert_int_equal(v.n, 5);
    assert_int_equal(PARSE("--memory=1.5g"), WH_OK);
    assert_true(v.memory == (uint64_t)3 << 29);
    assert_int_equal(PARSE("--memory=16GiB"), WH_OK);
    assert_true(v.memory == (uint64_t)16 << 30);
    assert_int_equal(PARSE("--", "--n", "-x"), WH_OK);
    assert_int_equal(n_args, 2);
    assert_string_equal(args[0], "--n");
    assert_int_equal(v.n, 16);
}

static void test_several_and_parts(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--journal", "a", "--shard=2/5", "--journal=b"), WH_OK);
    assert_int_equal(v.journals.n, 2);
    assert_string_equal(v.journals.v[0], "a");
    assert_string_equal(v.journals.v[1], "b");
    assert_true(v.shard.part == 2 && v.shard.of == 5);
    static const char *const not_a_part[] = {"", "1", "0/2", "3/2", "1/0", "1/2x", "/2", "1/", "-1/2", "a/b", "1/99999999"};
    for (size_t i = 0; i < sizeof not_a_part / sizeof not_a_part[0]; i++) assert_int_equal(PARSE("--shard", not_a_part[i]), WH_ERR_ARG);
    assert_int_equal(PARSE("--journal", ""), WH_ERR_ARG);
}

static void test_dash_arguments(void **state)
{
    (void)state;
    assert_int_equal(parse_with(true, (const char *const[]){"-1", "-h", "--json", NULL}), WH_OK);
    assert_int_equal(n_args, 2);
    assert_string_equal(args[1], "-h");
    assert_true(v.json);
    assert_int_equal(PARSE("-"), WH_OK);
    assert_int_equal(n_args, 1);
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--nonsense", "--help"), WH_OK);
    assert_true(help);
    assert_int_equal(PARSE("-h"), WH_OK);
    assert_true(help);
    assert_int_equal(PARSE("--", "--help"), WH_OK);
    assert_false(help);
    wh_buf text = {0};
    const wh_opt_group groups[] = {{NULL, table, N, &v, NULL}};
    const wh_opt_spec spec = {"test", "[options] A B", "A test.", groups, 1, 0, 2, false};
    wh_opt_help(&text, &spec);
    assert_non_null(strstr(wh_buf_str(&text), "whet test [options] A B\n\nA test.\n"));
    assert_non_null(strstr(wh_buf_str(&text), "  --temperature T         softness (default 0.7)\n"));
    assert_non_null(strstr(wh_buf_str(&text), "  --color WHEN            colours: auto never always (default auto)\n"));
    wh_buf_free(&text);
}

#define REFUSED(sentence, ...)                             \
    do {                                                   \
        assert_int_equal(PARSE(__VA_ARGS__), WH_ERR_ARG);  \
        assert_string_equal(err.msg, sentence);            \
    } while (0)

static void test_nonsense(void **state)
{
    (void)state;
    REFUSED("unknown option --tempreature; did you mean --temperature?", "--tempreature", "1");
    REFUSED("unknown option --temp; did you mean --temperature?", "--temp=1");
    REFUSED("unknown option -nn; did you mean --n?", "-nn", "4");
    REFUSED("unknown option --quux; `whet test --help` lists the options", "--quux");
    REFUSED("--json takes no value", "--json=yes");
    REFUSED("--n wants a value: --n N", "--n");
    static const char *const not_n[] = {"0", "65537", "4.5", "four", "", "4x", " 4", "99999999999999999999"};
    for (size_t i = 0; i < sizeof not_n / sizeof not_n[0]; i++) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "--n wants a whole number from 1 to 65536, not '%s'", not_n[i]);
        REFUSED(sentence, "--n", not_n[i]);
    }
    static const char *const not_t[] = {"-0.1", "11", "nan", "inf", "warm", "", "0x", "1e999"};
    for (size_t i = 0; i < sizeof not_t / sizeof not_t[0]; i++) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "--temperature wants a number from 0 to 10, not '%s'", not_t[i]);
        REFUSED(sentence, "--temperature", not_t[i]);
    }
    static const char *const not_m[] = {"-1", "2X", "G", "", "1e30", "2GG", "nan"};
    for (size_t i = 0; i < sizeof not_m / sizeof not_m[0]; i++) assert_int_equal(PARSE("--memory", not_m[i]), WH_ERR_ARG);
    static const char *const not_b[] = {"", "1,", ",1", "1,,2", "0", "1;2", "1 2"};
    for (size_t i = 0; i < sizeof not_b / sizeof not_b[0]; i++) assert_int_equal(PARSE("--batch", not_b[i]), WH_ERR_ARG);
    static const char *const not_c[] = {"", "aut", "auto never", "AUTO"};
    for (size_t i = 0; i < sizeof not_c / sizeof not_c[0]; i++) assert_int_equal(PARSE("--color", not_c[i]), WH_ERR_ARG);
    REFUSED("--policy wants a MODEL, not an empty text", "--policy", "");
    REFUSED("too many arguments: usage is whet test [options] A B", "1", "2", "3");
}

static void test_suggestions(void **state)
{
    (void)state;
    static const char *const names[] = {"solve", "eval", "tokenize", NULL, "bench"};
    assert_string_equal(wh_suggest_name("slove", names, 5), "solve");
    assert_string_equal(wh_suggest_name("SOLVE", names, 5), "solve");
    assert_string_equal(wh_suggest_name("evaluate", names, 5), "eval");
    assert_string_equal(wh_suggest_name("tok", names, 5), "tokenize");
    assert_null(wh_suggest_name("xyzzy", names, 5));
    assert_null(wh_suggest_name("", names, 5));
    char endless[4096];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_null(wh_suggest_name(endless, names, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),   cmocka_unit_test(test_dash_arguments), cmocka_unit_test(test_several_and_parts),
        cmocka_unit_test(test_help),     cmocka_unit_test(test_nonsense), cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
