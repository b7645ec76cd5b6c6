/* Attention over an open KV block (FlashAttention's online softmax, Dao et al. 2022, with the block as its tile).
 *
 * For a query q with running maximum m, sum l and output o, over the keys j of the block it may see:
 *
 *     s_j = q · k_j                             k ascending over the head's dimensions
 *     m'  = max(m, max_j s_j),  a = exp(m - m')
 *     p_j = exp(s_j - m')
 *     l'  = a·l + Σ_j p_j                       16 lanes, key j in lane j % 16, folded by the tree
 *     o'  = a·o + Σ_j p_j v_j                   j ascending
 *
 * Each query's arithmetic is its own, so how queries are grouped for the registers changes no bit. Several
 * queries are taken together because they share the loads: K and V of a block are read from L1 for TQ
 * queries at a time, and from memory once for all queries of a call.
 */
#include "kern/isa/softmax.h"

/* Register tile: TQ queries by TV groups of 16 lanes (channels of V), SV for the scores (keys). */
#if defined(__AVX512F__)
enum { TQ = 6, TV = 4, SV = 2 };
#elif defined(__AVX2__)
enum { TQ = 3, TV = 2, SV = 2 };
#elif defined(__aarch64__)
enum { TQ = 4, TV = 1, SV = 1 };
#else
enum { TQ = 1, TV = 1, SV = 1 };
#endif
enum { B = WH_KV_BLOCK };

/* c[q][v] += a[q][t] · b[t*stride + 16v ..] for t < n, ascending */
static inline __attribute__((always_inline)) void tile(wh_v c[TQ][TV], const float *const a[TQ], const uint16_t *b,
                                                       size_t stride, size_t n, int nq, int nv)
{
    for (size_t t = 0; t < n; t++, b += stride) {
        wh_v row[TV];
        for (int v = 0; v < nv; v++) row[v] = wh_v_load_f16(b + 16 * v);
        for (int q = 0; q < nq; q++) {
            wh_v x = wh_v_set1(a[q][t]);
            for (int v = 0; v < nv; v++) c[q][v] = wh_v_fma(x, row[v], c[q][v]);
        }
    }
}

/* Only as many keys as are seen, rounded up to a tile; the softmax ignores the rest. */
static inline __attribute__((always_inline)) void scores(float s[TQ][B], const wh_attn_query *q, const uint16_t *k,
                                                         size_t hd, int nq)
{
    const float *a[TQ];
    for (int i = 0; i < nq; i++) a[i] = q[i].q;
    for (size_t at = 0; at < q[0].keys; at += 16 * SV) {
        wh_v c[TQ][TV];
        for (int i = 0; i < nq; i++)
            for (int v = 0; v < SV; v++) c[i][v] = wh_v_set1(0);
        tile(c, a, k + at, B, hd, nq, SV);
        for (int i = 0; i < nq; i++)
            for (int v = 0; v < SV; v++) wh_v_store(s[i] + at + 16 * (size_t)v, c[i][v]);
    }
}

static inline __attribute__((always_inline)) void values(const wh_attn_query *q, const float *const p[TQ],
                                                         const float shrink[TQ], const uint16_t *v, size_t hd,
                                                         size_t keys, int nq, int nv, size_t at)
{
    wh_v c[TQ][TV];
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++)
            c[i][j] = wh_v_mul(wh_v_load(q[i].o + at + 16 * (size_t)j), wh_v_set1(shrink[i]));
    tile(c, p, v + at, hd, keys, nq, nv);
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++) wh_v_store(q[i].o + at + 16 * (size_t)j, c[i][j]);
}

static inline __attribute__((always_inline)) void queries(const wh_attn_query *q, const uint16_t *k, const uint16_t *v,
                                                          size_t hd, int nq)
{
    float s[TQ][B], shrink[TQ];
    const float *p[TQ];
    scores(s, q, k, hd, nq);
    for (int i = 0; i < nq; i++) {
        shrink[i] = softmax(s[i], q[i].ml, q[i].keys);
        p[i] = s[i];
    }
    size_t at = 0;
    for (; at + 16 * TV <= hd; at += 16 * TV) values(q, p, shrink, v, hd, q[0].keys, nq, TV, at);
    for (; at < hd; at += 16) values(q, p, shrink, v, hd, q[0].keys, nq, 1, at);
}

void WH_OP(attn_open)(const wh_attn_query *q, size_t nq, const uint16_t *k, const uint16_t *v, size_t hd)
{
    for (size_t n; nq; q += n, nq -= n) {
        size_t same = 1; /* queries that see the same number of keys go together */
        while (same < nq && q[same].keys == q[0].keys) same++;
        switch (n = next_tile(same, TQ)) {
        case TQ: queries(q, k, v, hd, TQ); break;
#if defined(__AVX512F__)
        case 5: queries(q, k, v, hd, 5); break;
        case 4: queries(q, k, v, hd, 4); break;
        case 3: queries(q, k, v, hd, 3); break;
        case 2: queries(q, k, v, hd, 2); break;
#elif defined(__AVX2__)
        case 2: queries(q, k, v, hd, 2); break;
#elif defined(__aarch64__)
        case 3: queries(q, k, v, hd, 3); break;
        case 2: queries(q, k, v, hd, 2); break;
#endif
        default: queries(q, k, v, hd, 1); n = 1;
        }
    }
}

void WH_OP(attn_end)(float *y, const wh_attn_query *q, size_t hd)
{
    wh_v l = wh_v_set1(q->ml[1]);
    for (size_t i = 0; i < hd; i += 16) wh_v_store(y + i, wh_v_div(wh_v_load(q->o + i), l));
}
