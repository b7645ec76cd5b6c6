/* Attention over a closed KV block: as attn_open.c, in int8. With the K scales c_d of the block's channels and
 * the V scales e_j of its tokens, and with ints in capitals:
 *
 *     q'_d = q_d c_d, rounded to Q_d with the scale a = max |q'| / 127
 *     s_j  = a · Σ_d Q_d K_jd                   exact in int32
 *     p_j  = exp(s_j - m'), m' as before        l takes the p_j themselves
 *     p'_j = p_j e_j, rounded to P_j with the scale b = max p' / 255
 *     o'   = o · exp(m - m') + b · Σ_j P_j V_j  exact in int32, one fma
 *
 * A block is whole, so no key is masked. All queries of a call share the loads of K and V.
 */
#include "kern/isa/softmax.h"
#include "kern/isa/veci.h"

/* Register tile: TQ queries by TV groups of 16 lanes. */
#if defined(__AVX512BW__)
enum { TQ = 4, TV = 4 };
#elif defined(__AVX2__)
enum { TQ = 2, TV = 2 };
#else
enum { TQ = 2, TV = 1 };
#endif
enum { B = WH_KV_BLOCK, BV = B / 16, MOST_HD = 1024 };

/* out = the query on the scale of the block's K; *start = -128 times its sum, for the offset of K. */
static float round_query(int8_t *out, int32_t *start, const float *q, const float *scale, size_t hd)
{
    float x[MOST_HD];
    wh_v top = wh_v_set1(0), zero = top;
    for (size_t d = 0; d < hd; d += 16) {
        wh_v y = wh_v_mul(wh_v_load(q + d), wh_v_load(scale + d));
        wh_v_store(x + d, y);
        top = wh_v_max(wh_v_max(y, wh_v_sub(zero, y)), top);
    }
    float amax = wh_v_top(top), inverse = amax > 0 ? 127 / amax : 0;
    int32_t sum = 0;
    for (size_t d = 0; d < hd; d += 16) {
        wh_v n = wh_v_rint(wh_v_mul(wh_v_load(x + d), wh_v_set1(inverse)));
        sum += wh_v_store_s8(out + d, wh_v_min(wh_v_max(n, wh_v_set1(-127)), wh_v_set1(127)));
    }
    *start = -128 * sum;
    return amax / 127;
}

/* out = the weights p on the scale of the block's V. */
static float round_weights(uint8_t out[B], const float p[B], const float *scale)
{
    wh_v x[BV], top = wh_v_set1(0);
    for (int v = 0; v < BV; v++) {
        x[v] = wh_v_mul(wh_v_load(p + 16 * v), wh_v_load(scale + 16 * v));
        top = wh_v_max(x[v], top);
    }
    float max = wh_v_top(top), inverse = max > 0 ? 255 / max : 0;
    for (int v = 0; v < BV; v++)
        wh_v_store_u8(out + 16 * v, wh_v_min(wh_v_rint(wh_v_mul(x[v], wh_v_set1(inverse))), wh_v_set1(255)));
    return max / 255;
}

static inline __attribute__((always_inline)) void scores(float s[TQ][B], const int8_t q[TQ][MOST_HD],
                                                         const int32_t start[TQ], const float scale[TQ],
                                                         const uint8_t *k, size_t hd, int nq)
{
    for (int v0 = 0; v0 < BV; v0 += TV) {
        wh_vi c[TQ][TV];
        for (int i = 0; i < nq; i++)
            for (int v = 0; v < TV; v++) c[i][v] = wh_vi_set1(start[i]);
        for (size_t d = 0; d < hd; d += 4) {
            wh_atom row[TV];
            for (int v = 0; v < TV; v++) row[v] = wh_atom_u8(k + d * B + 64 * (size_t)(v0 + v));
            for (int i = 0; i < nq; i++) {
                wh_quad x = wh_quad_s8(q[i] + d);
                for (int v = 0; v < TV; v++) c[i][v] = wh_vi_dot_us(c[i][v], row[v], x);
            }
        }
        for (int i = 0; i < nq; i++)
            for (int v = 0; v < TV; v++)
                wh_v_store(s[i] + 16 * (v0 + v), wh_v_mul(wh_vi_float(c[i][v]), wh_v_set1(scale[i])));
    }
}

static inline __attribute__((always_inline)) void values(const wh_attn_query *q, const uint8_t p[TQ][B],
                                                         const float shrink[TQ], const float scale[TQ],
                                                         const int8_t *v, size_t hd, int nq, int nv, size_t at)
{
    wh_vi c[TQ][TV];
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++) c[i][j] = wh_vi_set1(0);
    for (size_t t = 0; t < B; t += 4) {
        wh_atom row[TV];
        for (int j = 0; j < nv; j++) row[j] = wh_atom_s8(v + (t / 4 * hd + at + 16 * (size_t)j) * 4);
        for (int i = 0; i < nq; i++) {
            wh_quad x = wh_quad_u8(p[i] + t);
            for (int j = 0; j < nv; j++) c[i][j] = wh_vi_dot_su(c[i][j], row[j], x);
        }
    }
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++) {
            float *o = q[i].o + at + 16 * (size_t)j;
            wh_v old = wh_v_mul(wh_v_load(o), wh_v_set1(shrink[i]));
            wh_v_store(o, wh_v_fma(wh_v_set1(scale[i]), wh_vi_float(c[i][j]), old));
        }
}

static inline __attribute__((always_inline)) void queries(const wh_attn_query *q, const wh_kv8 *kv, size_t hd, int nq)
{
    float s[TQ][B], a[TQ], b[TQ], shrink[TQ];
    int8_t rounded[TQ][MOST_HD];
    uint8_t p[TQ][B];
    int32_t start[TQ];
    for (int i = 0; i < nq; i++) a[i] = round_query(rounded[i], &start[i], q[i].q, kv->k_scale, hd);
    scores(s, rounded, start, a, kv->k, hd, nq);
    for (int i = 0; i < nq; i++) {
        shrink[i] = softmax(s[i], q[i].ml, B);
        b[i] = round_weights(p[i], s[i], kv->v_scale);
    }
    size_t at = 0;
    for (; at + 16 * TV <= hd; at += 16 * TV) values(q, p, shrink, b, kv->v, hd, nq, TV, at);
    for (; at < hd; at += 16) values(q, p, shrink, b, kv->v, hd, nq, 1, at);
}

void WH_OP(attn_close)(const wh_attn_query *q, size_t nq, const wh_kv8 *kv, size_t hd)
{
    for (size_t n; nq; q += n, nq -= n) {
        switch (n = next_tile(nq, TQ)) {
        case TQ: queries(q, kv, hd, TQ); break;
#if defined(__AVX512BW__)
        case 3: queries(q, kv, hd, 3); break;
        case 2: queries(q, kv, hd, 2); break;
#endif
        default: queries(q, kv, hd, 1); n = 1;
        }
    }
}
