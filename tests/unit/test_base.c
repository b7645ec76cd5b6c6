/* base: errors, buffers, random numbers, the thread team. */
#include "base/buf.h"
#include "base/cpu.h"
#include "base/err.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void err_sentences(void **state)
{
    (void)state;
    wh_err err;
    assert_int_equal(wh_err_set(&err, WH_ERR_FORMAT, "tensor '%s' has %d rows", "x", 3), WH_ERR_FORMAT);
    assert_string_equal(err.msg, "tensor 'x' has 3 rows");
    assert_int_equal(wh_err_wrap(&err, "model.gguf"), WH_ERR_FORMAT);
    assert_string_equal(err.msg, "model.gguf: tensor 'x' has 3 rows");
    assert_int_equal(wh_err_set(NULL, WH_ERR_ARG, "nobody reads this"), WH_ERR_ARG);
    char big[1000];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    wh_err_set(&err, WH_ERR_IO, "%s", big);
    assert_int_equal(wh_err_wrap(&err, "%s", big), WH_ERR_IO);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void buf_grows_and_fails_softly(void **state)
{
    (void)state;
    wh_buf b = {0};
    for (int i = 0; i < 1000; i++) wh_buf_printf(&b, "%d,", i);
    assert_true(wh_buf_ok(&b));
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(b.data), b.len);
    size_t len = b.len;
    wh_mem_fail_after(0);
    char *big = calloc(1, 100000);
    wh_buf_put(&b, big, 100000);
    wh_mem_fail_after(-1);
    free(big);
    assert_false(wh_buf_ok(&b));
    assert_int_equal(b.len, len);
    wh_buf_free(&b);
}

static void sizes_do_not_overflow(void **state)
{
    (void)state;
    size_t out = 7;
    assert_false(wh_mem_mul(&out, SIZE_MAX / 2, 3));
    assert_int_equal(out, 7);
    assert_null(wh_mem_alloc(SIZE_MAX / 2, 3));
    assert_null(wh_mem_alloc_aligned(SIZE_MAX, 1));
}

/* Known answers from the Random123 distribution (kat_vectors, philox4x32 10). */
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof kat / sizeof kat[0]; i++) {
        uint32_t out[4];
        wh_rng_philox(out, kat[i].counter, kat[i].key);
        assert_memory_equal(out, kat[i].out, sizeof out);
    }
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double u = wh_rng_uniform(1, 2, i);
        assert_true(u > 0 && u < 1);
        sum += u;
    }
    assert_true(sum > 49500 && sum < 50500);
}

struct team {
    wh_par    *par;
    atomic_int stage[64];
    atomic_int wrong;
};

static void walk_stages(void *ctx, int tid)
{
    struct team *t = ctx;
    (void)tid;
    for (int s = 0; s < 64; s++) {
        atomic_fetch_add(&t->stage[s], 1);
        wh_par_barrier(t->par);
        if (atomic_load(&t->stage[s]) != wh_par_threads(t->par)) atomic_fetch_add(&t->wrong, 1);
    }
}

static void barriers_hold_when_oversubscribed(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 9; threads += 4) {
        struct team t = {0};
        assert_int_equal(wh_par_create(&t.par, threads, NULL), WH_OK);
        for (int repeat = 0; repeat < 3; repeat++) {
            for (int s = 0; s < 64; s++) atomic_store(&t.stage[s], 0);
            wh_par_run(t.par, walk_stages, &t);
        }
        assert_int_equal(t.wrong, 0);
        wh_par_free(t.par);
    }
    wh_err err;
    wh_par *none;
    assert_int_equal(wh_par_create(&none, 1 << 20, &err), WH_ERR_ARG);
}

static void ranges_cover_everything_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++)
        for (int nth = 1; nth < 7; nth++) {
            size_t at = 0;
            for (int t = 0; t < nth; t++) {
                size_t b, e;
                wh_par_range(&b, &e, n, 16, t, nth);
                assert_true(b == at && e >= b);
                assert_true(b % 16 == 0 || b == n);
                at = e;
            }
            assert_int_equal(at, n);
        }
}

static void cpu_masks(void **state)
{
    (void)state;
    wh_isa set;
    wh_err err;
    assert_int_equal(wh_cpu_parse_mask(&set, "avx2", &err), WH_OK);
    assert_int_equal(set, WH_ISA_c | WH_ISA_avx2);
    assert_int_equal(wh_cpu_parse_mask(&set, "avxvnni,neondot", &err), WH_OK);
    assert_int_equal(set, WH_ISA_c | WH_ISA_avx2 | WH_ISA_avxvnni | WH_ISA_neon | WH_ISA_neondot);
    assert_int_equal(wh_cpu_parse_mask(&set, "sse9", &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "sse9"));
    assert_int_equal(wh_cpu_parse_mask(&set, "", &err), WH_ERR_ARG);
    assert_true(wh_cpu_detect() & WH_ISA_c);
    assert_true(wh_cpu_cores() >= 1);
}

static void files(void **state)
{
    (void)state;
    char hex[65];
    wh_file_sha256(hex, "abc", 3); /* FIPS 180-2, appendix B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

    char dir[] = "/tmp/whet-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64], deep[64];
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    snprintf(path, sizeof path, "%s/a/b/f", dir);
    wh_err err;
    assert_int_equal(wh_file_mkdirs(deep, &err), WH_OK);
    assert_int_equal(wh_file_mkdirs(deep, &err), WH_OK);
    assert_int_equal(wh_file_write(path, "hello", 5, &err), WH_OK);
    wh_map m;
    assert_int_equal(wh_file_map(&m, path, &err), WH_OK);
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.data, "hello", 5);
    wh_file_unmap(&m);
    wh_buf b = {0};
    assert_int_equal(wh_file_read(&b, path, 5, &err), WH_OK);
    assert_string_equal(b.data, "hello");
    assert_int_equal(wh_file_read(&b, path, 4, &err), WH_ERR_ARG);
    assert_int_equal(wh_file_map(&m, dir, &err), WH_ERR_IO);
    assert_int_equal(wh_file_write(dir, "x", 1, &err), WH_ERR_IO);
    assert_int_equal(wh_file_map(&m, "/nonexistent/x", &err), WH_ERR_IO);
    assert_non_null(strstr(err.msg, "/nonexistent/x"));
    wh_buf_free(&b);
    char cmd[64];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    assert_int_equal(system(cmd), 0);
}

static void test_lines(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "a", "a\n", "\n \t\r\n a \r\n\nb"};
    static const char *const seen[] = {"", "", "1:a;", "1:a;", "3: a \r;5:b;"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        wh_buf text = {0}, got = {0};
        wh_buf_puts(&text, texts[i]);
        for (wh_lines l = {0}; wh_lines_next(&l, &text);) wh_buf_printf(&got, "%zu:%.*s;", l.number, (int)l.n, l.text);
        assert_string_equal(wh_buf_str(&got), seen[i]);
        wh_buf_free(&text);
        wh_buf_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_sentences),
        cmocka_unit_test(buf_grows_and_fails_softly),
        cmocka_unit_test(sizes_do_not_overflow),
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(barriers_hold_when_oversubscribed),
        cmocka_unit_test(ranges_cover_everything_once),
        cmocka_unit_test(cpu_masks),
        cmocka_unit_test(files),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
