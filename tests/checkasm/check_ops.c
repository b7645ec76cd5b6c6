/* check_ops: the elementwise and attention operations of every instruction set against those in plain C.
 *
 * Each operation is run on the same random input by both tables; all that it writes must be equal bit for bit.
 */
#include "checkasm.h"

#include "kern/ops.h"
#include "quant/half.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HD = 128, QUERIES = 15, B = WH_KV_BLOCK, N = 896 };

/* All that the operations read and write; a check works on a copy for each table. */
typedef struct room {
    float         x[N], y[N], z[N], q[QUERIES * HD], o[QUERIES * HD], ml[2 * QUERIES];
    uint16_t      k[B * HD], v[B * HD];
    uint8_t       k8[B * HD];
    int8_t        v8[B * HD];
    float         k_scale[HD], v_scale[B];
    size_t        keys[QUERIES];
    wh_logit_sum  sum;
} room;

static void fill_floats(float *x, size_t n, float most)
{
    for (size_t i = 0; i < n; i++) x[i] = random_float(-most, most);
}

static void fill(room *r)
{
    memset(r, 0, sizeof *r);
    fill_floats(r->x, N, 20);
    fill_floats(r->y, N, 2);
    fill_floats(r->z, N, 2);
    fill_floats(r->q, QUERIES * HD, 1);
    fill_floats(r->o, QUERIES * HD, 1);
    for (int i = 0; i < QUERIES; i++) {
        bool first = random_in(0, 3) == 0; /* nothing was seen before */
        r->ml[2 * i] = first ? -INFINITY : random_float(-4, 4);
        r->ml[2 * i + 1] = first ? 0 : random_float(0.5f, 9);
        r->keys[i] = i && random_in(0, 2) ? r->keys[i - 1] : (size_t)random_in(1, B);
    }
    for (int i = 0; i < B * HD; i++) {
        r->k[i] = wh_half_f32_to_f16(random_float(-2, 2));
        r->v[i] = wh_half_f32_to_f16(random_float(-2, 2));
        r->k8[i] = (uint8_t)random_in(1, 255);
        r->v8[i] = (int8_t)random_in(-127, 127);
    }
    for (int i = 0; i < HD; i++) r->k_scale[i] = random_float(0, 0.1f);
    for (int i = 0; i < B; i++) r->v_scale[i] = random_float(0, 0.1f);
}

static size_t list(room *r, wh_attn_query *out, size_t hd)
{
    size_t n = (size_t)random_in(1, QUERIES);
    for (size_t i = 0; i < n; i++)
        out[i] = (wh_attn_query){.q = r->q + i * hd, .o = r->o + i * hd, .ml = r->ml + 2 * i, .keys = r->keys[i]};
    return n;
}

static wh_kv8 closed(room *r) { return (wh_kv8){r->k8, r->v8, r->k_scale, r->v_scale}; }

/* ---- one call each; sizes are drawn, the same for both tables -------------------------------------------------- */

static size_t a_size(void) { return 16 * (size_t)random_in(1, N / 16); }
static size_t a_head(void) { return 32 * (size_t)random_in(1, HD / 32); }

static void run_rmsnorm(const wh_ops *o, room *r) { o->rmsnorm(r->y, r->x, r->z, a_size(), 1e-6f); }
static void run_add(const wh_ops *o, room *r) { o->add(r->y, r->x, a_size()); }
static void run_silu_mul(const wh_ops *o, room *r) { o->silu_mul(r->y, r->x, r->z, a_size()); }
static void run_rope_half(const wh_ops *o, room *r) { o->rope_half(r->x, r->y, r->z, a_head()); }
static void run_rope_pairs(const wh_ops *o, room *r) { o->rope_pairs(r->x, r->y, r->z, a_head()); }
static void run_scale(const wh_ops *o, room *r) { o->scale(r->x, 0.088f, a_size()); }
static void run_store_f16(const wh_ops *o, room *r)
{
    size_t hd = a_head();
    o->store_f16(r->k, r->x, hd, random_in(0, 1) ? 1 : B);
}
static void run_attn_open(const wh_ops *o, room *r)
{
    wh_attn_query q[QUERIES];
    size_t        hd = a_head(), n = list(r, q, hd);
    o->attn_open(q, n, r->k, r->v, hd);
}
static void run_attn_close(const wh_ops *o, room *r)
{
    wh_attn_query q[QUERIES];
    size_t        hd = a_head(), n = list(r, q, hd);
    wh_kv8        kv = closed(r);
    o->attn_close(q, n, &kv, hd);
}
static void run_kv_close(const wh_ops *o, room *r)
{
    wh_kv8 kv = closed(r);
    o->kv_close(&kv, r->k, r->v, a_head());
}
static void run_attn_end(const wh_ops *o, room *r)
{
    wh_attn_query q = {.q = r->q, .o = r->o, .ml = r->z, .keys = B};
    o->attn_end(r->y, &q, a_head());
}
static void run_logits(const wh_ops *o, room *r) { o->logits(&r->sum, r->x, (size_t)random_in(1, N), 1 / 0.7f); }
static void run_exps(const wh_ops *o, room *r) { o->exps(r->y, r->x, a_size(), 1 / 0.7f, 20); }

static const struct {
    const char *name;
    void (*run)(const wh_ops *, room *);
} ops[] = {
#define WH_OP_X(name, best, params) {#name, run_##name},
#include "kern/ops.def"
#undef WH_OP_X
};

void check_ops(const char *word, int *passed, int *failed)
{
    static room        start, got, want;
    static const wh_isa levels[] = {WH_ISA_avx512vnni | WH_ISA_avx512 | WH_ISA_avx2, WH_ISA_avx512 | WH_ISA_avx2, WH_ISA_avx2};
    const wh_ops      *c = wh_ops_select(0);
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        const wh_ops *table = wh_ops_select(levels[l] & wh_cpu_detect());
        if (table == c || (l && table == wh_ops_select(levels[l - 1] & wh_cpu_detect()))) continue;
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s_%s", ops[i].name, table->isa);
            if (!strstr(name, word)) continue;
            bool ok = true;
            for (int round = 0; round < 40 && ok; round++) {
                fill(&start);
                got = want = start;
                uint64_t at = random_save();
                ops[i].run(c, &want);
                random_restore(at);
                ops[i].run(table, &got);
                ok = memcmp(&got, &want, sizeof got) == 0;
            }
            printf("%s %s\n", ok ? "[       OK ]" : "[  FAILED  ]", name);
            ++*(ok ? passed : failed);
        }
    }
}
