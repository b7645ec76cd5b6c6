/* The journal: what was written is read; a file cut at any byte gives back every whole frame and can be
 * continued; damage, other files, other runs and full disks are told apart. */
#include "base/file.h"
#include "journal/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "scratch_file.h"

static json_t *a_run(int n) { return json_pack("{s:i, s:{s:f, s:s}}", "n", n, "sampling", "temperature", 0.7, "rule", "x"); }

static wh_code count(void *user, const json_t *record, wh_err *err)
{
    (void)err;
    int *n = user;
    assert_int_equal(json_integer_value(json_object_get(record, "k")), *n);
    ++*n;
    return WH_OK;
}

/* Frame i holds records 2i and 2i + 1. */
static void append_frame(wh_journal *j, int i)
{
    wh_err err;
    json_t *group = json_pack("[{s:i, s:s}, {s:i, s:s}]", "k", 2 * i, "text", "one\ntwo \xc3\xa9", "k", 2 * i + 1, "text", "");
    assert_non_null(group);
    if (wh_journal_append(j, group, &err) != WH_OK) fail_msg("%s", err.msg);
    json_decref(group);
}

static wh_code open_with(wh_journal **j, int n, int *records, size_t *torn, wh_err *err)
{
    json_t *run = a_run(n);
    *records = 0;
    wh_code code = wh_journal_open(j, path, run, count, records, torn, err);
    json_decref(run);
    return code;
}

static void must_open(wh_journal **j, int *records, size_t *torn)
{
    wh_err err;
    if (open_with(j, 4, records, torn, &err) != WH_OK) fail_msg("%s", err.msg);
}

static void write_file(const void *data, size_t n)
{
    wh_err err;
    if (wh_file_write(path, data, n, &err) != WH_OK) fail_msg("%s", err.msg);
}

/* A journal with 3 frames of records; ends[i] is the size after the header and i frames. */
static void make_journal(wh_buf *bytes, size_t ends[4])
{
    wh_journal *j;
    int records;
    size_t torn;
    must_open(&j, &records, &torn);
    assert_int_equal(records, 0);
    for (int i = 0; i < 4; i++) {
        if (i) append_frame(j, i - 1);
        wh_buf_clear(bytes);
        assert_int_equal(wh_file_read(bytes, path, 1 << 20, NULL), WH_OK);
        ends[i] = bytes->len;
    }
    assert_int_equal(wh_journal_close(j, NULL), WH_OK);
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    wh_buf bytes = {0};
    size_t ends[4];
    make_journal(&bytes, ends);
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        int whole = 0; /* frames of records that are left */
        size_t good = cut < ends[0] ? 0 : ends[0];
        for (int i = 1; i < 4; i++)
            if (cut >= ends[i]) {
                whole = i;
                good = ends[i];
            }
        write_file(bytes.data, cut);
        int records = 0;
        size_t torn;
        wh_err err;
        if (good) {
            assert_int_equal(wh_journal_read(path, NULL, count, &records, &torn, &err), WH_OK);
            assert_int_equal(records, 2 * whole);
            assert_int_equal(torn, cut - good);
        }
        wh_journal *j;
        must_open(&j, &records, &torn);
        assert_int_equal(records, 2 * whole);
        assert_int_equal(torn, cut - good);
        append_frame(j, whole);
        assert_int_equal(wh_journal_close(j, NULL), WH_OK);
        must_open(&j, &records, &torn);
        assert_int_equal(records, 2 * whole + 2);
        assert_int_equal(torn, 0);
        wh_journal_close(j, NULL);
    }
    wh_buf_free(&bytes);
}

/* A crash of the machine can leave zeros or rubbish where the last frame should be. */
static void test_rubbish_at_the_end(void **state)
{
    (void)state;
    wh_buf bytes = {0};
    size_t ends[4];
    make_journal(&bytes, ends);
    char rubbish[512];
    for (int kind = 0; kind < 3; kind++) {
        memset(rubbish, kind == 0 ? 0 : 0x28, sizeof rubbish);
        if (kind == 2) memcpy(rubbish, bytes.data, 4); /* the magic number, then nonsense */
        wh_buf file = {0};
        wh_buf_put(&file, bytes.data, bytes.len);
        wh_buf_put(&file, rubbish, sizeof rubbish);
        write_file(file.data, file.len);
        wh_buf_free(&file);
        wh_journal *j;
        int records;
        size_t torn;
        must_open(&j, &records, &torn);
        assert_int_equal(records, 6);
        assert_int_equal(torn, sizeof rubbish);
        wh_journal_close(j, NULL);
    }
    wh_buf_free(&bytes);
}

/* Any byte changed in a frame that others follow: an error, and the file stays as it is. */
static void test_damage_in_the_middle(void **state)
{
    (void)state;
    wh_buf bytes = {0}, after = {0};
    size_t ends[4];
    make_journal(&bytes, ends);
    for (size_t at = ends[0]; at < ends[1]; at++) {
        bytes.data[at] ^= 0x55;
        write_file(bytes.data, bytes.len);
        wh_journal *j;
        int records;
        size_t torn;
        wh_err err;
        wh_code code = open_with(&j, 4, &records, &torn, &err);
        assert_int_equal(code, WH_ERR_FORMAT);
        wh_buf_clear(&after);
        assert_int_equal(wh_file_read(&after, path, 1 << 20, NULL), WH_OK);
        assert_int_equal(after.len, bytes.len);
        assert_memory_equal(after.data, bytes.data, bytes.len);
        bytes.data[at] ^= 0x55;
    }
    wh_buf_free(&bytes);
    wh_buf_free(&after);
}

static void test_other_files_are_left_alone(void **state)
{
    (void)state;
    static const char text[] = "{\"problem\": \"1 + 1\"}\n";
    char frame[256], nameless[256];
    size_t n = ZSTD_compress(frame, sizeof frame, text, strlen(text), 3); /* whole, but another's */
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0);
    size_t m = ZSTD_compress2(zstd, nameless, sizeof nameless, text, strlen(text)); /* as a pipe makes it */
    ZSTD_freeCCtx(zstd);
    assert_false(ZSTD_isError(n) || ZSTD_isError(m));
    const struct {
        const char *data;
        size_t      n;
    } files[] = {{text, strlen(text)}, {"(\xb5/\xfc", 4}, {"\n", 1}, {"\0\0\0\0\0", 5}, {frame, n}, {nameless, m}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        write_file(files[i].data, files[i].n);
        wh_journal *j;
        int records;
        size_t torn;
        wh_err err;
        assert_int_equal(open_with(&j, 4, &records, &torn, &err), WH_ERR_FORMAT);
        assert_non_null(strstr(err.msg, "is no journal"));
        wh_buf after = {0};
        assert_int_equal(wh_file_read(&after, path, 1 << 20, NULL), WH_OK);
        assert_int_equal(after.len, files[i].n);
        assert_memory_equal(after.data, files[i].data, files[i].n);
        wh_buf_free(&after);
    }
}

static void test_another_run_is_refused(void **state)
{
    (void)state;
    wh_buf bytes = {0};
    size_t ends[4], torn;
    make_journal(&bytes, ends);
    wh_journal *j;
    int records;
    wh_err err;
    assert_int_equal(open_with(&j, 5, &records, &torn, &err), WH_ERR_ARG);
    assert_int_equal(records, 0);
    assert_non_null(strstr(err.msg, "begun with n 4, not 5"));
    json_t *run = json_pack("{s:i, s:{s:f, s:s}}", "n", 4, "sampling", "temperature", 0.9, "rule", "x");
    assert_int_equal(wh_journal_open(&j, path, run, NULL, NULL, NULL, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "begun with sampling.temperature 0.7, not 0.9"));
    json_decref(run);
    run = json_pack("{s:i}", "n", 4);
    assert_int_equal(wh_journal_open(&j, path, run, NULL, NULL, NULL, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "not nothing"));
    json_decref(run);
    wh_buf_free(&bytes);
}

static void test_one_writer_at_a_time(void **state)
{
    (void)state;
    wh_journal *j, *second;
    int records;
    size_t torn;
    wh_err err;
    must_open(&j, &records, &torn);
    assert_int_equal(open_with(&second, 4, &records, &torn, &err), WH_ERR_IO);
    assert_int_equal(wh_journal_close(j, NULL), WH_OK);
    must_open(&j, &records, &torn);
    wh_journal_close(j, NULL);
}

/* No room for the third frame: an error, the file is as before, and when there is room again it goes on. */
static void test_full_disk(void **state)
{
    (void)state;
    wh_buf bytes = {0};
    size_t ends[4];
    make_journal(&bytes, ends);
    write_file(bytes.data, ends[2]);
    signal(SIGXFSZ, SIG_IGN);
    for (size_t room = ends[2]; room < ends[3]; room++) {
        wh_journal *j;
        int records;
        size_t torn;
        wh_err err;
        must_open(&j, &records, &torn);
        struct rlimit limit, small;
        getrlimit(RLIMIT_FSIZE, &limit);
        small = limit;
        small.rlim_cur = room;
        setrlimit(RLIMIT_FSIZE, &small);
        json_t *group = json_pack("[{s:i, s:s}, {s:i, s:s}]", "k", 4, "text", "one\ntwo \xc3\xa9", "k", 5, "text", "");
        wh_code code = wh_journal_append(j, group, &err);
        setrlimit(RLIMIT_FSIZE, &limit);
        assert_int_equal(code, WH_ERR_IO);
        wh_buf_clear(&bytes);
        assert_int_equal(wh_file_read(&bytes, path, 1 << 20, NULL), WH_OK);
        assert_int_equal(bytes.len, ends[2]);
        if (room + 1 == ends[3]) {
            assert_int_equal(wh_journal_append(j, group, &err), WH_OK);
            assert_int_equal(wh_journal_close(j, NULL), WH_OK);
            must_open(&j, &records, &torn);
            assert_int_equal(records, 6);
        }
        json_decref(group);
        wh_journal_close(j, NULL);
    }
    wh_buf_free(&bytes);
}

static void test_places_that_cannot_be_written(void **state)
{
    (void)state;
    json_t *run = a_run(4);
    wh_journal *j;
    wh_err err;
    assert_int_equal(wh_journal_open(&j, "/nonexistent/journal", run, NULL, NULL, NULL, &err), WH_ERR_IO);
    assert_null(j);
    assert_int_equal(wh_journal_open(&j, "/dev/null", run, NULL, NULL, NULL, &err), WH_ERR_IO);
    assert_int_equal(wh_journal_read("/nonexistent/journal", NULL, NULL, NULL, NULL, &err), WH_ERR_IO);
    write_file("", 0);
    assert_int_equal(wh_journal_read(path, NULL, NULL, NULL, NULL, &err), WH_ERR_FORMAT);
    json_decref(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cut_at_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rubbish_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_files_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_run_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_writer_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_that_cannot_be_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
