/* mem: allocation whose sizes are multiplied with overflow checks.
 *
 * All functions return NULL when the size overflows or the system has no memory, and leave the
 * sentence to the caller, who knows what the memory was for. wh_mem_fail_after makes the k-th
 * allocation from now fail (k < 0: never), so that tests can walk every out-of-memory path.
 */
#ifndef WH_BASE_MEM_H
#define WH_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* n elements of size bytes, uninitialised / zeroed. n == 0 gives a pointer that may be freed. */
void *wh_mem_alloc(size_t n, size_t size);
void *wh_mem_zalloc(size_t n, size_t size);
/* 64-byte aligned, uninitialised; large blocks ask for huge pages. Free with free(). */
void *wh_mem_alloc_aligned(size_t n, size_t size);
/* Like realloc for n elements; on failure NULL is returned and p is untouched. */
void *wh_mem_resize(void *p, size_t n, size_t size);
char *wh_mem_strndup(const char *s, size_t n);

/* false when a * b (a + b) does not fit size_t; *out is written only on true. */
bool wh_mem_mul(size_t *out, size_t a, size_t b);
bool wh_mem_add(size_t *out, size_t a, size_t b);

/* Bytes of memory that could be taken now without swapping; a guess of 1 GiB where the system does not say. */
size_t wh_mem_available(void);

/* Tests only. */
void wh_mem_fail_after(long k);
/* Number of allocations made by this process through mem.h (tests: "the token loop allocates nothing"). */
size_t wh_mem_count(void);

#endif
