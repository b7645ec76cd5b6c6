/* meter: a budget in joules or seconds, on a processor whose counter stands where the test puts it. */
#include "engine_run.h"

#include "plan/meter.h"

#include <sys/stat.h>
#include <unistd.h>

static char powercap[64], zone[96];

static void put(const char *file, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void joules(double drawn)
{
    char text[32];
    snprintf(text, sizeof text, "%.0f\n", 1e6 * (1 + drawn));
    put("energy_uj", text);
}

static int begin(void **state)
{
    if (setup(state)) return -1;
    strcpy(powercap, "/tmp/whet_meter_XXXXXX");
    if (!mkdtemp(powercap)) return -1;
    snprintf(zone, sizeof zone, "%s/intel-rapl:0", powercap);
    if (mkdir(zone, 0700)) return -1;
    put("name", "package-0\n");
    put("max_energy_range_uj", "100000000\n");
    joules(0);
    return setenv("WHET_POWERCAP", powercap, 1);
}

static int end(void **state)
{
    static const char *const files[] = {"/name", "/energy_uj", "/max_energy_range_uj", ""};
    char path[160];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s%s", zone, files[i]);
        remove(path);
    }
    unsetenv("WHET_POWERCAP");
    return rmdir(powercap) || teardown(state);
}

/* An engine, and the meter begun on it. */
static wh_engine *start(wh_meter *m)
{
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 16, .context = 256});
    wh_err err;
    if (wh_meter_start(m, e, &err) != WH_OK) fail_msg("%s", err.msg);
    return e;
}

/* FLOPs that the limit leaves. */
static double left(wh_meter *m)
{
    const wh_view v = {.answer = 4};
    double round;
    double flops = wh_meter_left(m, &v, &round);
    assert_true(round >= 0);
    return flops;
}

/* The engine computes something: the meter learns how long a step takes. */
static void steps(wh_engine *e)
{
    static int calls;
    int32_t prompt[8];
    outcome out = {0};
    fill_prompt(prompt, 8, 0, calls++);
    wh_gen_spec s = spec_of(prompt, 8, 0, &out);
    s.max_tokens = 4;
    submit(e, &s);
    run(e);
}

static void joules_are_a_limit(void **state)
{
    (void)state;
    wh_meter m = {.seconds = INFINITY, .joules = 10};
    wh_engine *e = start(&m);
    assert_true(isinf(left(&m))); /* nothing drawn: no power to go by */
    steps(e);
    joules(1);
    assert_false(wh_meter_tick(&m)); /* nine times as long as until now is left */
    double some = left(&m);
    assert_true(some > 0 && isfinite(some));
    joules(9);
    assert_true(left(&m) < some);
    assert_true(fabs(wh_meter_joules(&m) - 9) < 1e-6);
    steps(e);
    joules(10);
    assert_true(wh_meter_tick(&m)); /* another step would overrun */
    assert_true(left(&m) == 0);
    joules(50);
    assert_true(left(&m) == 0);
    wh_engine_free(e);
}

/* A counter that can no longer be read ends the run, as if all were spent: the limit might be overrun unseen. */
static void a_lost_counter_counts_as_spent(void **state)
{
    (void)state;
    wh_meter m = {.seconds = INFINITY, .joules = 10};
    wh_engine *e = start(&m);
    put("energy_uj", "");
    assert_true(isinf(wh_meter_joules(&m)));
    assert_true(left(&m) == 0);
    steps(e);
    assert_true(wh_meter_tick(&m));
    wh_engine_free(e);
}

static void seconds_are_a_limit(void **state)
{
    (void)state;
    wh_meter m = {.seconds = 1e-9, .joules = INFINITY};
    wh_engine *e = start(&m);
    steps(e);
    assert_true(wh_meter_tick(&m)); /* the clock has moved by more than that */
    assert_true(left(&m) == 0);
    m.seconds = 1e9;
    assert_false(wh_meter_tick(&m));
    assert_true(left(&m) > 0);
    wh_engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(joules_are_a_limit, begin, end),
        cmocka_unit_test_setup_teardown(a_lost_counter_counts_as_spent, begin, end),
        cmocka_unit_test_setup_teardown(seconds_are_a_limit, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
