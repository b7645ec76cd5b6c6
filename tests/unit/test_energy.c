/* energy: joules of made-up processors. */
#include "base/energy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/whet_energy_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static void put(int zone, const char *file, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/intel-rapl:%d", root, zone);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/intel-rapl:%d/%s", root, zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void put_zone(int zone, const char *name, const char *microjoules, const char *range)
{
    put(zone, "name", name);
    put(zone, "energy_uj", microjoules);
    put(zone, "max_energy_range_uj", range);
}

static int teardown(void **state)
{
    (void)state;
    static const char *const files[] = {"name", "energy_uj", "max_energy_range_uj", ""};
    char path[128];
    for (int zone = 0; zone < 4; zone++)
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            snprintf(path, sizeof path, "%s/intel-rapl:%d/%s", root, zone, files[i]);
            remove(path);
        }
    return rmdir(root);
}

static void packages_add_up(void **state)
{
    (void)state;
    wh_energy e;
    wh_err err;
    double joules;
    put_zone(0, "package-0\n", "1000000\n", "9000000\n");
    put_zone(1, "psys\n", "5\n", "9000000\n"); /* the whole machine: not counted twice */
    put_zone(3, "package-1\n", "2000000\n", "9000000\n");
    assert_int_equal(wh_energy_open(&e, root, &err), WH_OK);
    assert_int_equal(e.n, 2);
    assert_int_equal(wh_energy_read(&joules, &e, &err), WH_OK);
    assert_true(joules == 0);
    put(0, "energy_uj", "1500000\n");
    put(1, "energy_uj", "7000000\n");
    put(3, "energy_uj", "4000000\n");
    assert_int_equal(wh_energy_read(&joules, &e, &err), WH_OK);
    assert_true(joules > 2.499 && joules < 2.501);
}

static void a_counter_that_starts_again_goes_on(void **state)
{
    (void)state;
    wh_energy e;
    wh_err err;
    double joules;
    put_zone(0, "package-0\n", "8000000\n", "9000000\n");
    assert_int_equal(wh_energy_open(&e, root, &err), WH_OK);
    for (int turn = 1; turn <= 3; turn++) {
        put(0, "energy_uj", "500000\n"); /* 1.5 J on */
        assert_int_equal(wh_energy_read(&joules, &e, &err), WH_OK);
        assert_true(joules > 9 * (turn - 1) + 1.499 && joules < 9 * (turn - 1) + 1.501);
        put(0, "energy_uj", "8000000\n"); /* and 7.5 more */
        assert_int_equal(wh_energy_read(&joules, &e, &err), WH_OK);
    }
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    wh_energy e;
    wh_err err;
    double joules;
    assert_int_equal(wh_energy_open(&e, root, &err), WH_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, root));
    put_zone(0, "psys\n", "5\n", "9000000\n");
    assert_int_equal(wh_energy_open(&e, root, &err), WH_ERR_UNSUPPORTED);
    put_zone(0, "package-0\n", "much\n", "9000000\n");
    assert_int_equal(wh_energy_open(&e, root, &err), WH_ERR_IO);
    assert_non_null(strstr(err.msg, "not a number"));
    put_zone(0, "package-0\n", "5\n", "9000000\n");
    assert_int_equal(wh_energy_open(&e, root, &err), WH_OK);
    put(0, "energy_uj", "");
    assert_int_equal(wh_energy_read(&joules, &e, &err), WH_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packages_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_counter_that_starts_again_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
