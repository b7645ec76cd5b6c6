/* load: how long model files take to open, in turn, so that what else the machine does hits all alike.
 *
 *   bench_load [-t THREADS] [-r ROUNDS] FILE...
 *
 * For each: the median and the least of wall-clock and processor seconds of wh_model_open, then the time of a first
 * pass that reads all its packed matrices (a mapped file is read then, not before). */
#include "base/clock.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FILES = 16, MOST_ROUNDS = 64 };

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct touch {
    const wh_model *m;
    int             threads;
    uint64_t        sum[1024];
} touch;

/* One byte of each line: what the memory has to do for a pass. */
static void touch_part(void *ctx, int tid)
{
    touch   *t = ctx;
    uint64_t sum = 0;
    for (size_t i = 0; i < t->m->n_mats; i++) {
        const unsigned char *p = wh_mat_panels(t->m->mats[i].w);
        size_t begin, end;
        wh_par_range(&begin, &end, wh_mat_bytes(t->m->mats[i].w), 64, tid, t->threads);
        for (size_t k = begin; k < end; k += 64) sum += p[k];
    }
    t->sum[tid] = sum;
}

typedef struct times {
    double wall[MOST_ROUNDS], cpu[MOST_ROUNDS], first[MOST_ROUNDS], second[MOST_ROUNDS];
} times;

static void measure(times *t, int round, const char *path, wh_par *par)
{
    wh_model *m;
    wh_err    err;
    double    wall = wh_clock_now(), cpu = cpu_seconds();
    if (wh_model_open(&m, path, 0, WH_MAT_EXACT, par, &err) != WH_OK) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    t->cpu[round] = cpu_seconds() - cpu;
    t->wall[round] = wh_clock_now() - wall;
    static touch job;
    job.m = m;
    job.threads = wh_par_threads(par);
    double start = wh_clock_now();
    wh_par_run(par, touch_part, &job);
    double middle = wh_clock_now();
    wh_par_run(par, touch_part, &job);
    t->first[round] = middle - start;
    t->second[round] = wh_clock_now() - middle;
    wh_model_free(m);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, compare);
    printf("  %s %.3f (%.3f)", what, x[n / 2], x[0]);
}

int main(int argc, char **argv)
{
    int threads = 0, rounds = 5, option;
    while ((option = getopt(argc, argv, "t:r:")) != -1) {
        if (option == 't') threads = atoi(optarg);
        else if (option == 'r') rounds = atoi(optarg);
        else return 2;
    }
    int n = argc - optind;
    if (n > MOST_FILES || rounds < 1 || rounds > MOST_ROUNDS) return 2;
    if (n == 0) printf("bench_load times files that are named: bench_load [-t THREADS] [-r ROUNDS] FILE...\n");
    static times t[MOST_FILES];
    wh_par *par;
    if (wh_par_create(&par, threads, NULL) != WH_OK) return 1;
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < n; i++) measure(&t[i], r, argv[optind + i], par);
    for (int i = 0; i < n; i++) {
        printf("%s, %d threads, seconds, median (least) of %d:\n", argv[optind + i], wh_par_threads(par), rounds);
        print("open", t[i].wall, rounds);
        print("cpu", t[i].cpu, rounds);
        print("first pass", t[i].first, rounds);
        print("later", t[i].second, rounds);
        printf("\n");
    }
    wh_par_free(par);
    return 0;
}
