#include "plan/belief.h"

#include "base/mem.h"
#include "plan/beta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 256 }; /* votes on one problem that the tables reach; beyond them proportions hardly change */

typedef struct memo {
    uint64_t key; /* 0: free */
    double   value;
} memo;

struct wh_belief {
    wh_belief_model m;
    /* ln of rising factorials: (a)_k, (b)_k, (theta)_k, and of k! */
    double up_a[SAMPLES + 1], up_b[SAMPLES + 1], up_theta[SAMPLES + 1], factorial[SAMPLES + 1];
    memo  *table;
    size_t used, size; /* size: a power of two */
    bool   full;       /* no memory */
};

wh_code wh_belief_create(wh_belief **out, const wh_belief_model *m, wh_err *err)
{
    enum { FIRST = 1 << 12 };
    *out = NULL;
    wh_belief *b = wh_mem_zalloc(1, sizeof *b);
    if (b) b->table = wh_mem_zalloc(FIRST, sizeof *b->table);
    if (!b || !b->table) {
        free(b);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a model of votes");
    }
    b->m = *m;
    b->size = FIRST;
    for (int k = 0; k < SAMPLES; k++) {
        b->up_a[k + 1] = b->up_a[k] + log(m->a + k);
        b->up_b[k + 1] = b->up_b[k] + log(m->b + k);
        b->up_theta[k + 1] = b->up_theta[k] + log(m->theta + k);
        b->factorial[k + 1] = b->factorial[k] + log(k + 1);
    }
    *out = b;
    return WH_OK;
}

void wh_belief_free(wh_belief *b)
{
    if (!b) return;
    free(b->table);
    free(b);
}

const wh_belief_model *wh_belief_get_model(const wh_belief *b) { return &b->m; }

/* ---- the posterior ------------------------------------------------------------------------------------------- */

static uint32_t voters(const wh_ballot *v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_groups; i++) n += v->group[i].count;
    return n;
}

/* Silent samples are wrong, but not guests of the restaurant. */
double wh_belief_right(const wh_belief *b, const wh_ballot *v, double *p)
{
    uint32_t n = v->n < SAMPLES ? v->n : SAMPLES, voted = voters(v);
    if (voted > SAMPLES) voted = SAMPLES;
    double odds[WH_BALLOT_GROUPS], top = 0, sum;
    for (uint32_t i = 0; i < v->n_groups; i++) {
        uint32_t c = v->group[i].count < n ? v->group[i].count : n, guests = c < voted ? voted - c : 0;
        odds[i] = -INFINITY; /* nobody says it */
        if (c == 0) continue;
        odds[i] = b->up_a[c] + b->up_b[n - c] - b->up_b[n] + b->up_theta[voted] - b->up_theta[guests] - log(b->m.theta) -
                  b->factorial[c - 1] + v->group[i].evidence / 16.0;
        if (odds[i] > top) top = odds[i];
    }
    sum = exp(-top);
    for (uint32_t i = 0; i < v->n_groups; i++) sum += p[i] = exp(odds[i] - top);
    for (uint32_t i = 0; i < v->n_groups; i++) p[i] /= sum;
    return exp(-top) / sum;
}

double wh_belief_best(const wh_belief *b, const wh_ballot *v, uint32_t *leader)
{
    double p[WH_BALLOT_GROUPS], best = 0;
    if (leader) *leader = 0;
    wh_belief_right(b, v, p);
    for (uint32_t i = 0; i < v->n_groups; i++)
        if (p[i] > best) {
            best = p[i];
            if (leader) *leader = i;
        }
    return best;
}

double wh_belief_pass(const wh_belief *b, const wh_ballot *v, double *at_least, const double *bounds, size_t n)
{
    double p[WH_BALLOT_GROUPS], mean = 0, none = wh_belief_right(b, v, p);
    for (size_t k = 0; k < n; k++) at_least[k] = 0;
    for (uint32_t i = 0; i <= v->n_groups; i++) {
        double weight = i < v->n_groups ? p[i] : none, c = i < v->n_groups ? v->group[i].count : 0;
        double right = b->m.a + c, wrong = b->m.b + v->n - c;
        mean += weight * right / (right + wrong);
        for (size_t k = 0; k < n; k++) at_least[k] += weight * (1 - wh_beta_cdf(bounds[k], right, wrong));
    }
    return mean;
}

double wh_belief_likelihood(const wh_belief_model *m, const wh_ballot *v, uint32_t right)
{
    double c = right < v->n_groups ? v->group[right].count : 0, guests = voters(v) - c;
    double sum = wh_beta_log(m->a + c, m->b + v->n - c) - wh_beta_log(m->a, m->b) - lgamma(m->theta + guests) + lgamma(m->theta);
    for (uint32_t i = 0; i < v->n_groups; i++)
        if (i != right) sum += log(m->theta) + lgamma(v->group[i].count);
    return sum;
}

/* ---- looking ahead ------------------------------------------------------------------------------------------- */

static uint64_t key_of(const wh_ballot *v, uint32_t k)
{
    uint64_t h = ((uint64_t)v->n << 8 | k) * UINT64_C(0x9E3779B97F4A7C15);
    for (uint32_t i = 0; i < v->n_groups; i++) {
        h ^= (uint64_t)v->group[i].count << 16 | (uint16_t)v->group[i].evidence;
        h = (h ^ h >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    }
    h ^= h >> 32;
    return h ? h : 1;
}

static memo *find(memo *table, size_t size, uint64_t key)
{
    size_t at = key & (size - 1);
    while (table[at].key && table[at].key != key) at = (at + 1) & (size - 1);
    return &table[at];
}

static void remember(wh_belief *b, uint64_t key, double value)
{
    enum { MOST = 1 << 20 };
    if (b->used == MOST) { /* old questions make room */
        memset(b->table, 0, b->size * sizeof *b->table);
        b->used = 0;
    }
    if (b->used * 2 >= b->size) {
        size_t size = b->size * 2;
        memo *table = wh_mem_zalloc(size, sizeof *table);
        if (!table) {
            b->full = true;
            return;
        }
        for (size_t i = 0; i < b->size; i++)
            if (b->table[i].key) *find(table, size, b->table[i].key) = b->table[i];
        free(b->table);
        b->table = table;
        b->size = size;
    }
    *find(b->table, b->size, key) = (memo){key, value};
    b->used++;
}

static bool before(const wh_ballot *v, uint32_t i, uint32_t j)
{
    if (v->group[i].count != v->group[j].count) return v->group[i].count > v->group[j].count;
    return v->group[i].evidence > v->group[j].evidence;
}

/* Groups from the largest down, group i having grown by one. */
static void bubble(wh_ballot *v, uint32_t i)
{
    for (; i > 0 && before(v, i, i - 1); i--) {
        uint16_t count = v->group[i].count;
        int16_t evidence = v->group[i].evidence;
        v->group[i] = v->group[i - 1];
        v->group[i - 1].count = count;
        v->group[i - 1].evidence = evidence;
    }
}

/* P(the next sample says group i), i < n_groups; [n_groups]: something new. */
static void next_vote(const wh_belief *b, const wh_ballot *v, double *p)
{
    double right[WH_BALLOT_GROUPS], none = wh_belief_right(b, v, right), n = v->n, voted = voters(v), theta = b->m.theta;
    uint32_t g = v->n_groups;
    memset(p, 0, (g + 1) * sizeof *p);
    double at_wrong = 0; /* sum over the groups j: P(j right) P(wrong | j) / (guests + theta) */
    for (uint32_t j = 0; j < g; j++) {
        double pass = (b->m.a + v->group[j].count) / (b->m.a + b->m.b + n);
        double seat = right[j] * (1 - pass) / (voted - v->group[j].count + theta);
        p[j] += right[j] * pass - seat * v->group[j].count; /* a wrong sample does not say what is right */
        at_wrong += seat;
    }
    double pass = b->m.a / (b->m.a + b->m.b + n), seat = none * (1 - pass) / (voted + theta);
    at_wrong += seat;
    for (uint32_t i = 0; i < g; i++) p[i] += at_wrong * v->group[i].count;
    p[g] = at_wrong * theta + none * pass;
}

static double after(wh_belief *b, const wh_ballot *v, uint32_t k)
{
    if (k == 0) return wh_belief_best(b, v, NULL);
    uint64_t key = key_of(v, k);
    const memo *known = find(b->table, b->size, key);
    if (known->key) return known->value;
    double p[WH_BALLOT_GROUPS + 1], sum = 0;
    next_vote(b, v, p);
    for (uint32_t i = 0; i <= v->n_groups;) {
        uint32_t same = i + 1; /* groups that are alike have one future */
        while (same < v->n_groups && i < v->n_groups && !before(v, i, same)) same++;
        wh_ballot next = *v;
        next.n++;
        if (i < v->n_groups) {
            next.group[i].count++;
            bubble(&next, i);
        } else if (i < WH_BALLOT_GROUPS) {
            next.n_groups++;
            next.group[i].count = 1;
            next.group[i].evidence = 0;
            bubble(&next, i);
        }
        sum += (same - i) * p[i] * after(b, &next, k - 1);
        i = same;
    }
    remember(b, key, sum);
    return sum;
}

double wh_belief_after(wh_belief *b, const wh_ballot *v, uint32_t k)
{
    wh_ballot sorted = *v;
    for (uint32_t i = 1; i < sorted.n_groups; i++) bubble(&sorted, i);
    double value = after(b, &sorted, k);
    return b->full ? NAN : value;
}

/* The ballot with evidence in half nats, groups from the largest down. */
static wh_ballot coarse(const wh_ballot *v)
{
    enum { GRAIN = 8 };
    wh_ballot out = *v;
    for (uint32_t i = 0; i < out.n_groups; i++) {
        int e = out.group[i].evidence, up = e >= 0 ? GRAIN / 2 : -GRAIN / 2;
        out.group[i].evidence = (int16_t)((e + up) / GRAIN * GRAIN);
        bubble(&out, i);
    }
    return out;
}

uint32_t wh_belief_ahead(const wh_ballot *v)
{
    enum { FUTURES = 300 };
    wh_ballot c = coarse(v);
    uint32_t classes = 1, k = 0; /* a new answer, and groups that differ */
    for (uint32_t i = 0; i < c.n_groups; i++) classes += i == 0 || before(&c, i - 1, i);
    for (double futures = 1; k < WH_BELIEF_AHEAD; k++) { /* k votes among so many classes */
        futures *= (double)(classes + k) / (k + 1);
        if (futures > FUTURES && k) break;
    }
    return k;
}

double wh_belief_gain(wh_belief *b, const wh_ballot *v, uint32_t k)
{
    wh_ballot c = coarse(v);
    return wh_belief_after(b, &c, k) - wh_belief_best(b, &c, NULL);
}
