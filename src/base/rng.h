/* rng: random numbers by position instead of by state.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a keyed
 * permutation of a counter. A number depends on (seed, stream, position) alone, so the n-th token of
 * the k-th sample draws the same number whatever else is computed beside it, in whatever order.
 */
#ifndef WH_BASE_RNG_H
#define WH_BASE_RNG_H

#include <stdint.h>

/* The four 32-bit words of Philox4x32-10 for a 128-bit counter and a 64-bit key. */
void wh_rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* 64 random bits for (seed, stream, position). */
uint64_t wh_rng_u64(uint64_t seed, uint64_t stream, uint64_t position);

/* Uniform in (0, 1), never 0 or 1: safe to take the logarithm of. 53 bits. */
double wh_rng_uniform(uint64_t seed, uint64_t stream, uint64_t position);

/* A stream derived from another and an index (child samples of a search node). */
uint64_t wh_rng_substream(uint64_t stream, uint64_t index);

#endif
